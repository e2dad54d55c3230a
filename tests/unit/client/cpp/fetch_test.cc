#include "client/cpp/src/fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "client/cpp/src/local_file.h"
#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "tests/unit/client/support/temp_folder.h"

namespace ckpt::client {
namespace {

using ckpt::testing::ReadText;
using ckpt::testing::WriteText;
using ::testing::ElementsAre;

std::string DigestOf(const std::string& content) {
  StreamDigest digest;
  digest.Update(content);
  return digest.Whole();
}

class FetchTest : public ::testing::Test {
 protected:
  void AddPart(const std::string& name, const std::string& content, int rank = 0) {
    v1::Part* part = checkpoint_.add_parts();
    part->set_rank(rank);
    part->set_part(name);
    part->set_size(static_cast<int64_t>(content.size()));
    part->set_xxh3_128(DigestOf(content));
    contents_[name] = content;
  }

  absl::Status Fetch(const std::string& path, const FetchOptions& options = {}) {
    checkpoint_.set_name("runs/r/checkpoints/1");
    return FetchCheckpoint(checkpoint_, path, options,
                           [&](const v1::Part& part, int64_t offset, ByteSink sink) {
                             offsets_.push_back(offset);
                             if (!failure_.ok()) return failure_;
                             std::string_view rest = contents_[part.part()];
                             rest.remove_prefix(static_cast<size_t>(offset));
                             return sink({&rest, 1});
                           });
  }

  const ckpt::testing::TempFolder folder_;
  v1::Checkpoint checkpoint_;
  std::map<std::string, std::string> contents_;
  std::vector<int64_t> offsets_;
  absl::Status failure_;
};

TEST_F(FetchTest, OnePartBecomesAFile) {
  AddPart("weights", "the weights");
  ASSERT_TRUE(Fetch(folder_.File("w")).ok());
  EXPECT_EQ(ReadText(folder_.File("w")), "the weights");
  EXPECT_FALSE(Exists(folder_.File("w.part")));
}

TEST_F(FetchTest, AnEmptyPartNeedsNoBytes) {
  AddPart("weights", "");
  ASSERT_TRUE(Fetch(folder_.File("w")).ok());
  EXPECT_TRUE(Exists(folder_.File("w")));
  EXPECT_THAT(offsets_, ElementsAre());
}

TEST_F(FetchTest, GoesOnWhereAnEarlierOneStopped) {
  AddPart("weights", "the weights");
  WriteText(folder_.File("w.part"), "the we");
  ASSERT_TRUE(Fetch(folder_.File("w")).ok());
  EXPECT_THAT(offsets_, ElementsAre(6));
  EXPECT_EQ(ReadText(folder_.File("w")), "the weights");
}

TEST_F(FetchTest, ACompleteLeftoverNeedsNoBytes) {
  AddPart("weights", "the weights");
  WriteText(folder_.File("w.part"), "the weights");
  ASSERT_TRUE(Fetch(folder_.File("w")).ok());
  EXPECT_THAT(offsets_, ElementsAre());
}

TEST_F(FetchTest, LeftoversOfOtherContentAreReadAgainFromTheStart) {
  for (const std::string leftover : {"another", "another, and longer", "THE WEIGHTS"}) {
    checkpoint_.clear_parts();
    AddPart("weights", "the weights");
    WriteText(folder_.File("w.part"), leftover);
    ASSERT_TRUE(Fetch(folder_.File("w")).ok()) << leftover;
    EXPECT_EQ(ReadText(folder_.File("w")), "the weights") << leftover;
    EXPECT_EQ(offsets_.back(), 0) << leftover;
  }
}

TEST_F(FetchTest, DamagedBytesNeverAppear) {
  AddPart("weights", "the weights");
  contents_["weights"] = "the weighs!";
  WriteText(folder_.File("w"), "what was there");
  const absl::Status status = Fetch(folder_.File("w"));
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_BLOB_CORRUPT) << status;
  EXPECT_EQ(ReadText(folder_.File("w")), "what was there");
  EXPECT_FALSE(Exists(folder_.File("w.part")));
}

TEST_F(FetchTest, TooFewBytesAreDamage) {
  AddPart("weights", "the weights");
  contents_["weights"] = "the";
  EXPECT_TRUE(absl::IsDataLoss(Fetch(folder_.File("w"))));
  EXPECT_FALSE(Exists(folder_.File("w")));
}

TEST_F(FetchTest, ABrokenDownloadLeavesWhatItHasForTheNext) {
  AddPart("weights", "the weights");
  WriteText(folder_.File("w.part"), "the we");
  failure_ = absl::UnavailableError("gone");
  EXPECT_TRUE(absl::IsUnavailable(Fetch(folder_.File("w"))));
  EXPECT_EQ(ReadText(folder_.File("w.part")), "the we");
  EXPECT_FALSE(Exists(folder_.File("w")));
}

TEST_F(FetchTest, ReplacesAFileButNoFolder) {
  AddPart("weights", "new");
  WriteText(folder_.File("w"), "old");
  ASSERT_TRUE(Fetch(folder_.File("w")).ok());
  EXPECT_EQ(ReadText(folder_.File("w")), "new");
  const absl::Status status = Fetch(folder_.path());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(FetchTest, NeitherReplacesNorFollowsALink) {
  AddPart("weights", "the weights");
  WriteText(folder_.File("other"), "somebody else's");
  const std::string link = folder_.File("w");
  std::filesystem::create_symlink(folder_.File("other"), link);
  EXPECT_TRUE(absl::IsFailedPrecondition(Fetch(link)));
  std::filesystem::rename(link, folder_.File("w.part"));
  EXPECT_TRUE(absl::IsFailedPrecondition(Fetch(link)));
  EXPECT_EQ(ReadText(folder_.File("other")), "somebody else's");
}

TEST_F(FetchTest, ReplacesNoDevice) {
  AddPart("weights", "the weights");
  const std::string pipe = folder_.File("pipe");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(Fetch(pipe)));
  EXPECT_FALSE(Exists(folder_.File("pipe.part")));
}

TEST_F(FetchTest, WantsTheNameOfAFile) {
  AddPart("weights", "the weights");
  for (const std::string& path : {std::string(), folder_.File("new/")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Fetch(path))) << path;
  }
}

TEST_F(FetchTest, SeveralPartsBecomeAFolder) {
  AddPart("optimizer", "the optimizer");
  AddPart("weights", "the weights");
  std::filesystem::create_directory(folder_.File("c.part"));
  WriteText(folder_.File("c.part/weights"), "the we");
  WriteText(folder_.File("c.part/stale"), "of another checkpoint");
  ASSERT_TRUE(Fetch(folder_.File("c")).ok());
  EXPECT_EQ(ReadText(folder_.File("c/weights")), "the weights");
  EXPECT_EQ(ReadText(folder_.File("c/optimizer")), "the optimizer");
  EXPECT_FALSE(Exists(folder_.File("c/stale")));
  EXPECT_FALSE(Exists(folder_.File("c.part")));
  EXPECT_THAT(offsets_, ElementsAre(0, 6));
  EXPECT_FALSE(Fetch(folder_.File("c")).ok()) << "a folder is never replaced";
}

TEST_F(FetchTest, PartsAreChosenByNameAndRank) {
  AddPart("weights", "w");
  AddPart("optimizer", "o");
  AddPart("rank1", "r", 1);
  ASSERT_TRUE(Fetch(folder_.File("o"), {.part = "optimizer", .progress = {}}).ok());
  EXPECT_EQ(ReadText(folder_.File("o")), "o");
  ASSERT_TRUE(Fetch(folder_.File("r"), {.rank = 1, .part = {}, .progress = {}}).ok());
  EXPECT_EQ(ReadText(folder_.File("r")), "r");
  const absl::Status status = Fetch(folder_.File("x"), {.part = "model", .progress = {}});
  EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_PART_NOT_FOUND);
  EXPECT_THAT(std::string(MessageOf(status)), ::testing::HasSubstr("weights (rank 0), optimizer"));
}

TEST_F(FetchTest, NamesFromTheDaemonCannotLeaveTheFolder) {
  AddPart("weights", "w");
  AddPart("../escaped", "e");
  EXPECT_EQ(ReasonOf(Fetch(folder_.File("c"))), v1::ERROR_REASON_NAME_INVALID);
  EXPECT_FALSE(Exists(folder_.File("escaped")));
}

TEST_F(FetchTest, ProgressCoversAllParts) {
  AddPart("a", std::string(5 << 20, 'a'));
  AddPart("b", std::string(5 << 20, 'b'));
  std::vector<int64_t> done;
  FetchOptions options;
  options.progress = [&](int64_t bytes, int64_t total) {
    EXPECT_EQ(total, 10 << 20);
    done.push_back(bytes);
  };
  ASSERT_TRUE(Fetch(folder_.File("c"), options).ok());
  EXPECT_THAT(done, ElementsAre(5 << 20, 10 << 20));
}

}  // namespace
}  // namespace ckpt::client
