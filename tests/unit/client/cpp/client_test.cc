#include "ckpt/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ckpt/errors.h"
#include "storage/base/errors.h"
#include "tests/unit/client/support/fake_daemon.h"
#include "tests/unit/client/support/temp_folder.h"

namespace ckpt {
namespace {

using ckpt::testing::FakeDaemon;
using ckpt::testing::ReadText;
using ckpt::testing::WriteText;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kName[] = "runs/run/checkpoints/7";

std::string Pattern(size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + i % 23);
  return text;
}

v1::Checkpoint Named(const std::string& name) {
  v1::Checkpoint checkpoint;
  checkpoint.set_name(name);
  return checkpoint;
}

class ClientTest : public ::testing::Test {
 protected:
  FakeDaemon daemon_;
  Client client_{{.server = daemon_.address()}};
  const ckpt::testing::TempFolder folder_;
};

TEST_F(ClientTest, ListsGoOverPages) {
  for (const char* run : {"a", "b", "c", "d", "e"}) {
    daemon_.runs[run].set_name(std::string("runs/") + run);
    daemon_.AddCheckpoint(Named(std::string("runs/") + run + "/checkpoints/1"), {});
  }
  std::vector<std::string> names;
  ASSERT_TRUE(client_
                  .ListRuns("",
                            [&](const v1::Run& run) {
                              names.push_back(run.name());
                              return true;
                            })
                  .ok());
  EXPECT_THAT(names, ElementsAre("runs/a", "runs/b", "runs/c", "runs/d", "runs/e"));

  names.clear();
  ASSERT_TRUE(client_
                  .ListCheckpoints("", "", "", 0,
                                   [&](const v1::Checkpoint& checkpoint) {
                                     names.push_back(checkpoint.name());
                                     return names.size() < 3;
                                   })
                  .ok());
  EXPECT_EQ(names.size(), 3u) << "stops when told to";

  names.clear();
  ASSERT_TRUE(client_
                  .ListCheckpoints("d", "", "", 0,
                                   [&](const v1::Checkpoint& checkpoint) {
                                     names.push_back(checkpoint.name());
                                     return true;
                                   })
                  .ok());
  EXPECT_THAT(names, ElementsAre("runs/d/checkpoints/1"));
}

TEST_F(ClientTest, ListsEventsOverPages) {
  daemon_.With([](FakeDaemon& daemon) {
    for (uint64_t seq = 1; seq <= 5; ++seq) daemon.events.emplace_back().set_seq(seq);
    return 0;
  });
  std::vector<uint64_t> seqs;
  ASSERT_TRUE(client_
                  .ListEvents("run",
                              [&](const v1::RecordedEvent& event) {
                                seqs.push_back(event.event().seq());
                                return true;
                              })
                  .ok());
  EXPECT_THAT(seqs, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(ClientTest, ErrorsKeepTheirReason) {
  EXPECT_EQ(ReasonOf(client_.GetRun("none").status()), v1::ERROR_REASON_RUN_NOT_FOUND);
  EXPECT_EQ(ReasonOf(client_.DeleteRun("none")), v1::ERROR_REASON_RUN_NOT_FOUND);
  EXPECT_EQ(ReasonOf(client_.GetCheckpoint("run", "9").status()),
            v1::ERROR_REASON_CHECKPOINT_NOT_FOUND);
  EXPECT_EQ(ReasonOf(client_.GetBest("run", "", "", "").status()),
            v1::ERROR_REASON_ALIAS_UNRESOLVED);
  EXPECT_EQ(ReasonOf(client_.ListCheckpoints("run", "nonsense", "", 0,
                                             [](const v1::Checkpoint&) { return true; })),
            v1::ERROR_REASON_QUERY_INVALID);
}

TEST_F(ClientTest, ADaemonThatIsNotThereIsNamed) {
  daemon_.Stop();
  const absl::Status status = client_.GetStatus().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(daemon_.address()));
}

TEST_F(ClientTest, FetchesToAFile) {
  const std::string content = Pattern(10'500);
  daemon_.AddCheckpoint(Named(kName), {{"weights", content}});
  const auto fetched = client_.Fetch("run", "latest", folder_.File("w"));
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(fetched->name(), kName);
  EXPECT_EQ(ReadText(folder_.File("w")), content);
}

TEST_F(ClientTest, FetchSurvivesABrokenStreamAtEachMessage) {
  const std::string content = Pattern(4'500);
  for (int cut = 1; cut <= 6; ++cut) {
    FakeDaemon daemon;
    daemon.AddCheckpoint(Named(kName), {{"weights", content}});
    daemon.script.cut_download_at = cut;
    Client client({.server = daemon.address()});
    const std::string path = folder_.File("w" + std::to_string(cut));
    absl::Status status = client.Fetch("run", "7", path).status();
    if (cut == 1) {  // nothing had come yet: that is for the caller to try again
      EXPECT_TRUE(absl::IsUnavailable(status)) << status;
      status = client.Fetch("run", "7", path).status();
    }
    ASSERT_TRUE(status.ok()) << "cut at " << cut << ": " << status;
    EXPECT_EQ(ReadText(path), content) << "cut at " << cut;
  }
}

TEST_F(ClientTest, FetchGoesOnFromAnEarlierProcess) {
  const std::string content = Pattern(4'500);
  daemon_.AddCheckpoint(Named(kName), {{"weights", content}});
  WriteText(folder_.File("w.part"), content.substr(0, 3'000));
  // Two messages are left; with a cut at the third nothing is lost.
  daemon_.script.cut_download_at = 3;
  ASSERT_TRUE(client_.Fetch("run", "7", folder_.File("w")).ok());
  EXPECT_EQ(ReadText(folder_.File("w")), content);
}

TEST_F(ClientTest, DamageOnTheWireAndOnDiskIsDataLoss) {
  daemon_.AddCheckpoint(Named(kName), {{"weights", Pattern(2'500)}});
  daemon_.script.damage_download_on_wire = true;
  EXPECT_TRUE(absl::IsDataLoss(client_.Fetch("run", "7", folder_.File("w")).status()));
  daemon_.script.damage_download_on_wire = false;
  daemon_.script.damage_stored = true;
  EXPECT_TRUE(absl::IsDataLoss(client_.Fetch("run", "7", folder_.File("w")).status()));
  EXPECT_TRUE(absl::IsDataLoss(client_.Read("run", "7").status()));
  EXPECT_FALSE(std::filesystem::exists(folder_.File("w")));
}

TEST_F(ClientTest, ReadsAPartPieceByPiece) {
  const std::string content = Pattern(4'500);
  daemon_.AddCheckpoint(Named(kName), {{"optimizer", "o"}, {"weights", content}});
  daemon_.script.cut_download_at = 3;
  std::string read;
  const auto append = [&](std::string_view bytes) {
    read += bytes;
    return absl::OkStatus();
  };
  ASSERT_TRUE(client_.Read("run", "7", "weights", append).ok());
  EXPECT_EQ(read, content) << "also over a broken stream";
  EXPECT_EQ(client_.Read("run", "7", "weights",
                         [](std::string_view) { return absl::OutOfRangeError("enough"); }),
            absl::OutOfRangeError("enough"));
  EXPECT_EQ(ReasonOf(client_.Read("run", "7", "", append)), v1::ERROR_REASON_FIELD_INVALID);
  daemon_.script.damage_stored = true;
  EXPECT_TRUE(absl::IsDataLoss(client_.Read("run", "7", "weights", append)))
      << "only the digest of the whole tells";
}

TEST_F(ClientTest, ReadsAPartIntoMemory) {
  const std::string content = Pattern(2'500);
  daemon_.AddCheckpoint(Named(kName), {{"optimizer", "o"}, {"weights", content}});
  const auto read = client_.Read("run", "7", "weights");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, content);
  EXPECT_EQ(ReasonOf(client_.Read("run", "7").status()), v1::ERROR_REASON_FIELD_INVALID)
      << "which of the two?";
  EXPECT_EQ(ReasonOf(client_.Read("run", "7", "x").status()), v1::ERROR_REASON_PART_NOT_FOUND);
}

TEST_F(ClientTest, WorksOverAUnixSocket) {
  FakeDaemon daemon("unix:" + folder_.File("s"));
  daemon.AddCheckpoint(Named(kName), {{"weights", "w"}});
  Client client({.server = daemon.address()});
  EXPECT_EQ(client.server(), "unix:" + folder_.File("s"));
  EXPECT_EQ(client.Read("run", "7").value_or(""), "w");
}

}  // namespace
}  // namespace ckpt
