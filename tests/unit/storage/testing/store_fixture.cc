#include "tests/unit/storage/testing/store_fixture.h"

#include <algorithm>
#include <filesystem>

#include "storage/base/names.h"
#include "tests/unit/storage/testing/matchers.h"

namespace ckpt::storage {

namespace fs = std::filesystem;

absl::StatusOr<std::unique_ptr<CheckpointStore>> StoreFixture::TryOpen() {
  return CheckpointStore::Open(
      {.data_dir = data_, .file_system = &file_system_, .clock = &clock_, .on_index_error = {}});
}

void StoreFixture::Open() {
  auto store = TryOpen();
  ASSERT_OK(store);
  store_ = *std::move(store);
  if (store_->GetRun("r").ok()) return;
  ASSERT_OK(CreateRun("r"));
}

void StoreFixture::Reopen() {
  store_.reset();
  file_system_.set_plan(nullptr);
  Open();
}

absl::Status StoreFixture::CreateRun(const std::string& run) {
  RunUpdate update;
  update.run = run;
  update.run_row.emplace().set_name(RunName(run));
  return store_->Apply({&update, 1}).status();
}

void StoreFixture::StartAnew() {
  const auto deleted = store_->DeleteRun("r");
  ASSERT_OK(deleted);
  for (const v1::Eviction& eviction : deleted->evictions) ASSERT_OK(store_->Evict(eviction));
  ASSERT_OK(store_->RemoveRunFolder("r"));
  ASSERT_OK(CreateRun("r"));
}

absl::Status StoreFixture::Upload(const PartTarget& target, const std::string& bytes) {
  auto writer = store_->OpenPart(target);
  if (!writer.ok()) return writer.status();
  if ((*writer)->finished().has_value()) return absl::OkStatus();
  const auto from = static_cast<size_t>((*writer)->offset());
  absl::Status sent = AppendAll(**writer, std::string_view(bytes).substr(from));
  if (!sent.ok()) return sent;
  return (*writer)->Finish(static_cast<int64_t>(bytes.size()), DigestOf(bytes)).status();
}

absl::Status StoreFixture::Drive(const v1::Checkpoint& save, const std::string& bytes, Step last) {
  const CheckpointRef ref = *ParseCheckpointName(save.name());
  RunUpdate opened;
  opened.run = ref.run;
  opened.opened_saves = {save};
  if (const auto applied = store_->Apply({&opened, 1}); !applied.ok()) return applied.status();
  if (last == Step::kDecided) return absl::OkStatus();

  absl::Status received = Upload({.run = ref.run, .save = ref.id, .stage_id = ""}, bytes);
  if (!received.ok() || last == Step::kReceived) return received;

  const auto published = store_->Publish(save);
  if (!published.ok() || last == Step::kPublished) return published.status();

  RunUpdate committed;
  committed.run = ref.run;
  committed.committed = {*published};
  const auto applied = store_->Apply({&committed, 1});
  if (!applied.ok() || last == Step::kApplied) return applied.status();

  const auto projected = store_->Project(*published);
  if (!projected.ok() || last == Step::kProjected) return projected.status();
  for (const v1::Eviction& eviction : applied->evictions) {
    if (absl::Status evicted = store_->Evict(eviction); !evicted.ok()) return evicted;
  }
  return absl::OkStatus();
}

std::string StoreFixture::Read(const std::string& run, const std::string& id) {
  const auto reader = store_->OpenRead(run, id, 0, "");
  if (!reader.ok()) return reader.status().ToString();
  const auto bytes = ReadAll(**reader);
  return bytes.ok() ? *bytes : bytes.status().ToString();
}

std::vector<std::string> StoreFixture::Ids(const std::string& run) {
  std::vector<std::string> ids;
  const auto page =
      store_->ListCheckpoints({.run = run, .page_token = "", .filter = "", .order_by = ""});
  if (!page.ok()) return {page.status().ToString()};
  for (const v1::Checkpoint& checkpoint : page->checkpoints) {
    ids.push_back(ParseCheckpointName(checkpoint.name())->id);
  }
  return ids;
}

std::vector<std::string> StoreFixture::SaveFolders(const std::string& below) const {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(data_ + '/' + below)) {
    const std::string name = entry.path().filename();
    if (entry.is_directory() && name.find('@') != std::string::npos) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace ckpt::storage
