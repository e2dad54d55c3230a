// What a disk holds of a folder while programs write to it, and what of that a power cut leaves.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ckpt::storage {

// What a power cut makes of bytes and names that were not synced.
enum class Cut {
  kDropAll,    // both are gone
  kKeepData,   // the bytes got to the disk, the names did not
  kKeepNames,  // the names got there, the bytes did not
  kKeepAll,    // nothing is lost: only the processes ended
  kRandom,     // any blocks of 512 bytes of any writes, and the first few changes of each folder
};
inline constexpr Cut kCuts[] = {Cut::kDropAll, Cut::kKeepData, Cut::kKeepNames, Cut::kKeepAll,
                                Cut::kRandom};
std::string_view CutName(Cut cut);

// What a disk holds at one moment: paths relative to its root, folders before what is in them.
struct DiskImage {
  struct Entry {
    int64_t inode = 0;  // names of one file have the same
    bool is_folder = false;
    int mode = 0;
    std::shared_ptr<const std::string> content;  // of a file
  };
  std::map<std::string, Entry> entries;

  // Equal for equal images.
  uint64_t Hash() const;
  // Makes an existing folder hold this and nothing else.
  void WriteTo(const std::string& folder) const;
};

// The disk below one folder. It is told of every change and of every sync. Bytes are durable once
// their file is synced, names once their folder is: a new file that was synced is gone all the same
// when its folder was not. A rename within a folder is one change; one into another folder is a
// change of each. Permissions are durable at once. Thread-safe.
//
// Paths are relative to the folder; "" or "." is the folder itself. Changes must be ones that the
// real file system has carried out.
class SimulatedDisk {
 public:
  struct Node;
  using NodePtr = std::shared_ptr<Node>;

  SimulatedDisk();
  // Everything in the image is durable.
  explicit SimulatedDisk(const DiskImage& image);
  SimulatedDisk(const SimulatedDisk& other);
  SimulatedDisk& operator=(const SimulatedDisk&) = delete;

  // The file at a path, created if missing. It outlives its names.
  NodePtr Open(const std::string& path);
  void Write(Node& file, int64_t offset, std::string_view bytes);
  void Truncate(Node& file, int64_t size);
  void SetMode(Node& file, int mode);
  void Sync(Node& file);
  // A sync has failed: the kernel has dropped what was not on the disk, and calls it clean.
  void LoseUnsynced(Node& file);
  int64_t SizeOf(const Node& file) const;

  void MakeFolder(const std::string& path);
  void Remove(const std::string& path);
  void Rename(const std::string& from, const std::string& to);
  void Exchange(const std::string& a, const std::string& b);
  void Link(const std::string& from, const std::string& to);
  // `to` becomes a new file with the bytes of `from`.
  void Clone(const std::string& from, const std::string& to);
  void SyncFolder(const std::string& path);

  // Number of changes and syncs so far.
  int64_t changes() const;
  // What is left if the power goes now. `random` decides where the cut is a matter of chance.
  DiskImage After(Cut cut, std::mt19937_64& random) const;

 private:
  using Names = std::map<std::string, NodePtr>;

  // All with `mutex_` held.
  NodePtr NewNode(bool is_folder);
  Node& Folder(const std::string& path) const;
  std::pair<Node&, std::string> Place(const std::string& path) const;
  NodePtr Find(const std::string& path) const;
  // Changes names of a folder in one step; a null node removes its name. Returns the change's id.
  int64_t Change(Node& folder, std::vector<std::pair<std::string, NodePtr>> names);

  mutable std::mutex mutex_;
  int64_t next_inode_ = 1;
  int64_t changes_ = 0;
  NodePtr root_;
};

}  // namespace ckpt::storage
