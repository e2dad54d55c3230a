// Ordered tables of bytes, read at one moment and written in atomic, synced batches: what the index
// needs of RocksDB, and the one place that knows it.
//
// Every write is synced before it returns, and RocksDB shows a batch to readers only after its log
// record is synced (no pipelined, unordered or unsynced writes here), so a read never returns what
// a crash could take back.
//
// Thread-safe, except that writes must not overlap. Views, cursors and batches belong to one thread
// and must not outlive the IndexDb. Errors: STORAGE_FAILED, DISK_FULL and
// INDEX_DAMAGED.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ckpt::storage {

struct CatalogOptions;

// Column families. The values are not stored.
enum class Table : uint8_t {
  kMeta,
  kRuns,
  kSaves,
  kCheckpoints,
  kRanking,
  kNames,
  kEvictions,
  kEvents,
  kHistory,
};
std::string_view TableName(Table table);

// Walks the rows of one table whose keys begin with one prefix. Before the first seek, after an
// error and past either end it is not valid; status() tells an error from an end.
class Cursor {
 public:
  ~Cursor();
  Cursor(Cursor&&) noexcept;

  void SeekToFirst();
  void SeekToLast();
  void Seek(std::string_view key);         // to the first row at or after `key`
  void SeekForPrev(std::string_view key);  // to the last row at or before `key`
  void Next();                             // needs Valid()
  void Prev();                             // needs Valid()

  bool Valid() const;
  std::string_view key() const;    // needs Valid(); until the cursor moves
  std::string_view value() const;  // needs Valid(); until the cursor moves
  absl::Status status() const;

 private:
  friend class ReadView;
  struct Rep;
  explicit Cursor(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

// The tables as they were at one moment.
class ReadView {
 public:
  ~ReadView();
  ReadView(ReadView&&) noexcept;

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const;
  Cursor Scan(Table table, std::string_view prefix) const;

 private:
  friend class IndexDb;
  struct Rep;
  explicit ReadView(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

// Changes to be written together, in order. Its own reads see them.
class Batch {
 public:
  ~Batch();
  Batch(Batch&&) noexcept;

  absl::StatusOr<std::optional<std::string>> Get(Table table, std::string_view key) const;
  void Put(Table table, std::string_view key, std::string_view value);
  void Delete(Table table, std::string_view key);
  // As Put and Delete, cheaper, but this batch's Get does not see them.
  void PutUnseen(Table table, std::string_view key, std::string_view value);
  void DeleteUnseen(Table table, std::string_view key);
  void DeletePrefixUnseen(Table table, std::string_view prefix);

 private:
  friend class IndexDb;
  struct Rep;
  explicit Batch(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

class IndexDb {
 public:
  // Creates the index if there is none. VERSION_TOO_NEW: its rows are left as they were.
  static absl::StatusOr<std::unique_ptr<IndexDb>> Open(const CatalogOptions& options);
  // Opens what can still be read of a damaged index, for reading alone. It writes nothing. Rows may
  // be missing, and cursors fail at what is damaged. VERSION_TOO_NEW.
  static absl::StatusOr<std::unique_ptr<IndexDb>> OpenDamaged(const std::string& path);
  // Lets RocksDB make what it can out of the table files and logs that it finds. Files are moved
  // and written: this is for copies.
  static absl::Status Repair(const std::string& path);
  ~IndexDb();

  ReadView View() const;
  Batch NewBatch() const;
  // All of the batch or nothing, durable on return. After an error nothing is visible; a restart
  // may find the batch written all the same.
  absl::Status Write(Batch batch);
  // Makes a copy as of now, durable on return, in the new folder `path`; what never changes is
  // shared by hard links. Writes may go on. After an error the folder may be there, incomplete.
  absl::Status Copy(const std::string& path) const;

 private:
  friend class ReadView;
  friend class Batch;
  struct Rep;
  explicit IndexDb(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;
};

}  // namespace ckpt::storage
