#include "storage/catalog/run_rows.h"

#include <algorithm>
#include <string>
#include <utility>

#include "ckpt/v1/records.pb.h"
#include "storage/base/errors.h"
#include "storage/base/names.h"
#include "storage/catalog/fields.h"
#include "storage/catalog/filter.h"
#include "storage/catalog/key_encoding.h"
#include "storage/catalog/page_token.h"
#include "storage/catalog/rows.h"

namespace ckpt::storage {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

struct RunRows {
  std::string id;
  v1::Run run;
  v1::RunProgress progress;
  v1::RunStats stats;
};

template <typename Message>
absl::Status ParseAt(const Cursor& cursor, Message& message) {
  absl::StatusOr<Message> parsed = ParseRow<Message>(Table::kRuns, cursor.key(), cursor.value());
  if (!parsed.ok()) return parsed.status();
  message = *std::move(parsed);
  return absl::OkStatus();
}

// Whether the cursor is at this row of this run.
bool IsAt(const Cursor& cursor, std::string_view run, RunRow row) {
  if (!cursor.Valid()) return false;
  const auto parts = SplitRunKey(cursor.key());
  return parts.has_value() && parts->run == run && !parts->rest.empty() &&
         parts->rest.front() == static_cast<char>(row);
}

// Reads the run that the cursor is at and leaves the cursor at its dictionary.
absl::StatusOr<RunRows> TakeRunRows(Cursor& cursor) {
  RunRows rows;
  const auto parts = SplitRunKey(cursor.key());
  if (parts.has_value()) rows.id = parts->run;
  if (!IsAt(cursor, rows.id, RunRow::kRun)) return DamagedRow(Table::kRuns, cursor.key());
  if (absl::Status s = ParseAt(cursor, rows.run); !s.ok()) return s;
  cursor.Next();
  if (IsAt(cursor, rows.id, RunRow::kProgress)) {
    if (absl::Status s = ParseAt(cursor, rows.progress); !s.ok()) return s;
    cursor.Next();
  }
  if (IsAt(cursor, rows.id, RunRow::kStats)) {
    if (absl::Status s = ParseAt(cursor, rows.stats); !s.ok()) return s;
    cursor.Next();
  }
  if (absl::Status s = cursor.status(); !s.ok()) return s;
  return rows;
}

v1::PolicyState StateOf(const v1::RunProgress& progress, const std::string& policy) {
  for (const v1::PolicyState& state : progress.policy_states()) {
    if (state.policy() == policy) return state;
  }
  v1::PolicyState none;
  none.set_policy(policy);
  return none;
}

// The resource: what the run's owner stored, and what only the index knows.
v1::Run Assemble(RunRows rows) {
  v1::Run run = std::move(rows.run);
  const v1::RunProgress& progress = rows.progress;
  run.set_name(RunName(rows.id));
  run.set_state(progress.ended() ? v1::Run::STATE_ENDED : v1::Run::STATE_DISCONNECTED);
  run.clear_policy_states();
  for (const v1::CheckpointPolicy& policy : run.policies()) {
    *run.add_policy_states() = StateOf(progress, policy.name());
  }
  run.clear_update_time();
  if (const int64_t nanos = progress.update_time_unix_nanos(); nanos > 0) {
    run.mutable_update_time()->set_seconds(nanos / kNanosPerSecond);
    run.mutable_update_time()->set_nanos(static_cast<int32_t>(nanos % kNanosPerSecond));
  }
  run.set_writer_epoch(progress.writer_epoch());
  run.set_durable_seq(progress.durable_seqs().empty() ? 0 : progress.durable_seqs(0));
  run.set_epoch(progress.epoch());
  run.set_checkpoint_count(rows.stats.checkpoint_count());
  run.set_checkpoint_bytes(rows.stats.checkpoint_bytes());
  return run;
}

// The run's rows, and its dictionary if `metrics` is given.
absl::StatusOr<RunRows> ReadRunRows(const ReadView& view, std::string_view run,
                                    std::vector<v1::MetricName>* metrics) {
  if (!CheckRunId(run).ok()) return RunNotFound(run);
  Cursor cursor = view.Scan(Table::kRuns, RunPrefix(run));
  cursor.SeekToFirst();
  if (!cursor.Valid()) return cursor.status().ok() ? RunNotFound(run) : cursor.status();
  absl::StatusOr<RunRows> rows = TakeRunRows(cursor);
  if (!rows.ok() || metrics == nullptr) return rows;
  const size_t id_offset = RunKey(run, RunRow::kMetricName).size();
  for (; cursor.Valid(); cursor.Next()) {
    if (!IsAt(cursor, run, RunRow::kMetricName) || cursor.key().size() != id_offset + kU32Bytes) {
      return DamagedRow(Table::kRuns, cursor.key());
    }
    v1::MetricName& metric = metrics->emplace_back();
    metric.set_id(DecodeU32(cursor.key().substr(id_offset)));
    metric.set_name(std::string(cursor.value()));
  }
  if (absl::Status s = cursor.status(); !s.ok()) return s;
  return rows;
}

}  // namespace

absl::Status CheckRunExists(const ReadView& view, std::string_view run) {
  if (!CheckRunId(run).ok()) return RunNotFound(run);
  const auto row = view.Get(Table::kRuns, RunKey(run, RunRow::kRun));
  if (!row.ok()) return row.status();
  return row->has_value() ? absl::OkStatus() : RunNotFound(run);
}

absl::StatusOr<v1::Run> ReadRun(const ReadView& view, std::string_view run) {
  absl::StatusOr<RunRows> rows = ReadRunRows(view, run, nullptr);
  if (!rows.ok()) return rows.status();
  return Assemble(*std::move(rows));
}

absl::StatusOr<RunSnapshot> ReadRunSnapshot(const ReadView& view, std::string_view run) {
  RunSnapshot snapshot;
  absl::StatusOr<RunRows> rows = ReadRunRows(view, run, &snapshot.metrics);
  if (!rows.ok()) return rows.status();
  snapshot.run = std::move(rows->run);
  snapshot.progress = std::move(rows->progress);
  Cursor cursor = view.Scan(Table::kSaves, RunPrefix(run));
  for (cursor.SeekToFirst(); cursor.Valid(); cursor.Next()) {
    auto save = ParseRow<v1::Checkpoint>(Table::kSaves, cursor.key(), cursor.value());
    if (!save.ok()) return save.status();
    snapshot.open_saves.push_back(*std::move(save));
  }
  if (absl::Status s = cursor.status(); !s.ok()) return s;
  return snapshot;
}

absl::Status ForEachRunAfter(const ReadView& view, std::string_view after,
                             absl::FunctionRef<bool(v1::Run)> each) {
  Cursor cursor = view.Scan(Table::kRuns, "");
  cursor.Seek(after.empty() ? std::string() : PrefixEnd(RunPrefix(after)));
  while (cursor.Valid()) {
    absl::StatusOr<RunRows> rows = TakeRunRows(cursor);
    if (!rows.ok()) return rows.status();
    const std::string next = PrefixEnd(RunPrefix(rows->id));
    if (!each(Assemble(*std::move(rows)))) return absl::OkStatus();
    cursor.Seek(next);  // past the dictionary
  }
  return cursor.status();
}

absl::StatusOr<RunPage> FindRuns(const ReadView& view, int page_size, std::string_view page_token,
                                 std::string_view filter_text) {
  const absl::StatusOr<Filter> filter = ParseFilter(filter_text, RunFields());
  if (!filter.ok()) return filter.status();
  const Question question = {"runs", filter_text};
  const absl::StatusOr<std::string> after = ReadPageToken(question, page_token);
  if (!after.ok()) return after.status();
  if (!after->empty() && !CheckRunId(*after).ok()) return PageTokenInvalid();

  RunPage page;
  const size_t max_rows = PageRows(page_size);
  size_t bytes = 0;
  absl::Status status = ForEachRunAfter(view, *after, [&](v1::Run run) {
    if (!Matches(*filter, run)) return true;
    bytes += run.ByteSizeLong();
    if (page.runs.size() == max_rows || (bytes > kMaxPageBytes && !page.runs.empty())) {
      const std::string_view last = page.runs.back().name();
      page.next_page_token = MakePageToken(question, last.substr(RunName("").size()));
      return false;
    }
    page.runs.push_back(std::move(run));
    return true;
  });
  if (!status.ok()) return status;
  return page;
}

absl::StatusOr<std::optional<uint32_t>> FindMetric(const ReadView& view, std::string_view run,
                                                   std::string_view metric) {
  const std::string prefix = RunKey(run, RunRow::kMetricName);
  Cursor names = view.Scan(Table::kRuns, prefix);
  for (names.SeekToFirst(); names.Valid(); names.Next()) {
    if (names.value() != metric) continue;
    const std::string_view id = names.key().substr(prefix.size());
    if (id.size() != kU32Bytes) return DamagedRow(Table::kRuns, names.key());
    return DecodeU32(id);
  }
  if (!names.status().ok()) return names.status();
  return std::nullopt;
}

}  // namespace ckpt::storage
