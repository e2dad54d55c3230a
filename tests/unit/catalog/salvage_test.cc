#include "storage/catalog/salvage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "catalog_testing.h"
#include "storage/catalog/key_encoding.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;

class SalvageTest : public testing::Test {
 protected:
  // A run with two checkpoints, one eviction, a metric and three events.
  void Fill() {
    const auto catalog = Must(Catalog::Open(dir_.options()));
    RunUpdate update = MakeRun("r");
    update.progress.emplace().set_last_checkpoint_id(3);
    update.new_metrics.emplace_back().set_name("loss");
    for (const uint64_t seq : {1, 2, 3}) {
      EventRow event;
      event.record.mutable_event()->set_seq(seq);
      update.events.Add(std::move(event));
    }
    update.committed = {MakeCheckpoint("r", 1, {{"loss", 0.5}}, {{"p", "a"}}),
                        MakeCheckpoint("r", 2, {{"loss", 0.4}}, {{"p", "b"}}),
                        MakeCheckpoint("r", 3, {{"loss", 0.3}}, {{"p", "a"}})};
    ASSERT_EQ(IdsOf(Must(catalog->Apply({&update, 1}))), (std::vector<std::string>{"1"}));
  }
  std::unique_ptr<Salvage> Open() { return Must(Salvage::Open(index_, scratch_)); }
  static std::vector<uint64_t> Events(Salvage& salvage) {
    std::vector<uint64_t> seqs;
    salvage.ForEachEvent("r",
                         [&](const EventRow& row) { seqs.push_back(row.record.event().seq()); });
    return seqs;
  }
  static std::vector<uint64_t> Ids(const std::map<uint64_t, v1::Checkpoint>& rows) {
    std::vector<uint64_t> ids;
    for (const auto& [id, row] : rows) ids.push_back(id);
    return ids;
  }
  // Content of every file of the index.
  std::map<std::string, std::string> Content() const {
    std::map<std::string, std::string> content;
    for (const auto& entry : fs::directory_iterator(index_)) {
      std::ifstream file(entry.path(), std::ios::binary);
      content[entry.path().filename()] = {std::istreambuf_iterator<char>(file), {}};
    }
    return content;
  }
  // A file whose name begins so.
  std::string FileOf(const std::string& prefix) const {
    for (const auto& entry : fs::directory_iterator(index_)) {
      if (entry.path().filename().string().starts_with(prefix)) return entry.path();
    }
    return "(none)";
  }

  TempDir dir_;
  const std::string index_ = dir_.options().path;
  const std::string scratch_ = dir_.path() + "/scratch";
};

TEST_F(SalvageTest, ReadsAWholeIndex) {
  Fill();
  const auto before = Content();
  const auto salvage = Open();
  EXPECT_TRUE(salvage->complete());
  ASSERT_EQ(salvage->runs().size(), 1U);
  const SalvagedRun& run = salvage->runs().at("r");
  EXPECT_EQ(run.run->name(), "runs/r");
  EXPECT_EQ(run.progress->last_checkpoint_id(), 3U);
  ASSERT_EQ(run.metrics.size(), 1U);
  EXPECT_EQ(run.metrics[0].name(), "loss");
  EXPECT_THAT(Ids(run.checkpoints), ElementsAre(2, 3));
  EXPECT_THAT(Ids(run.evictions), ElementsAre(1));
  EXPECT_THAT(Events(*salvage), ElementsAre(1, 2, 3));
  EXPECT_EQ(Content(), before);
}

TEST_F(SalvageTest, RowsThatAreNoneAreLeftOut) {
  Fill();
  WriteRow(dir_, Table::kCheckpoints, CheckpointKey("r", 2), kDamaged);
  // A row under the key of another one.
  WriteRow(dir_, Table::kCheckpoints, CheckpointKey("r", 9),
           MakeCheckpoint("r", 8).SerializeAsString());
  WriteRow(dir_, Table::kEvictions, CheckpointKey("r", 1), kDamaged);
  WriteRow(dir_, Table::kEvents, EventKey("r", 0, 2), kDamaged);  // which is in a block as well
  WriteRow(dir_, Table::kEvents, EventKey("r", 0, 9), kDamaged);
  WriteRow(dir_, Table::kEvents, "no key", "x");
  WriteRow(dir_, Table::kHistory, RunPrefix("r") + "\2no key", "x");
  WriteRow(dir_, Table::kRuns, RunKey("r", RunRow::kProgress), kDamaged);
  WriteRow(dir_, Table::kRuns, "no key", "x");
  const auto salvage = Open();
  EXPECT_FALSE(salvage->complete());
  const SalvagedRun& run = salvage->runs().at("r");
  EXPECT_EQ(run.run->name(), "runs/r");
  EXPECT_FALSE(run.progress.has_value());
  EXPECT_THAT(Ids(run.checkpoints), ElementsAre(3));
  EXPECT_THAT(run.evictions, IsEmpty());
  EXPECT_THAT(Events(*salvage), ElementsAre(1, 2, 3));
}

TEST_F(SalvageTest, EventsOfADamagedBlockAreLeftOutButForThoseWithRows) {
  Fill();
  {
    const auto catalog = Must(Catalog::Open(dir_.options()));
    RunUpdate update;
    update.run = "r";
    for (uint64_t seq = 4; seq < 2500; ++seq) {
      v1::EventRecord record;
      record.mutable_event()->set_seq(seq);
      record.mutable_event()->add_metric_ids(0);
      record.mutable_event()->add_values(0.5);
      if (seq == 1500) record.mutable_decision()->set_seq(seq);
      update.events.Add({0, std::move(record)});
    }
    Must(catalog->Apply({&update, 1}).status());
  }
  std::vector<uint64_t> all;
  for (uint64_t seq = 1; seq < 2500; ++seq) all.push_back(seq);
  {
    const auto salvage = Open();
    EXPECT_EQ(Events(*salvage), all);
    EXPECT_TRUE(salvage->complete());
  }
  fs::remove_all(scratch_);
  std::string values = SeriesPrefix("r", HistoryRow::kValues, 0, 0);
  AppendU64(values, 1025);
  WriteRow(dir_, Table::kHistory, values, kDamaged);
  all.erase(all.begin() + 1024, all.begin() + 2048);
  all.insert(all.begin() + 1024, 1500);
  const auto salvage = Open();
  EXPECT_EQ(Events(*salvage), all);
  EXPECT_FALSE(salvage->complete());
}

// Without a file of its root the index is still read, but for what is in no table file yet.
TEST_F(SalvageTest, ReadsWhatIsLeftWithoutTheRoot) {
  for (const char* file : {"CURRENT", "MANIFEST-"}) {
    SCOPED_TRACE(file);
    fs::remove_all(index_);
    fs::remove_all(scratch_);
    Fill();
    Must(Catalog::Open(dir_.options()));  // makes table files of the log
    fs::remove(FileOf(file));
    const auto before = Content();
    const auto salvage = Open();
    EXPECT_THAT(Ids(salvage->runs().at("r").checkpoints), ElementsAre(2, 3));
    EXPECT_THAT(Events(*salvage), ElementsAre(1, 2, 3));
    EXPECT_EQ(Content(), before);
  }
}

TEST_F(SalvageTest, OfNothingThereIsNothing) {
  fs::create_directory(index_);
  const auto salvage = Open();
  EXPECT_THAT(salvage->runs(), IsEmpty());
  EXPECT_THAT(Events(*salvage), IsEmpty());
}

TEST_F(SalvageTest, OfGarbageThereIsNothing) {
  fs::create_directory(index_);
  for (const char* file : {"CURRENT", "MANIFEST-000001", "000002.sst", "000003.log"}) {
    std::ofstream(index_ + '/' + file) << "garbage";
  }
  const auto before = Content();
  EXPECT_THAT(Open()->runs(), IsEmpty());
  EXPECT_EQ(Content(), before);
}

TEST_F(SalvageTest, ANewerIndexIsLeftToNewerPrograms) {
  Fill();
  WriteRow(dir_, Table::kMeta, "version", "999");
  EXPECT_EQ(ReasonOf(Salvage::Open(index_, scratch_)), v1::ERROR_REASON_VERSION_TOO_NEW);
}

}  // namespace
}  // namespace ckpt::storage
