#include "tests/integration/run_view.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "ckpt/client.h"
#include "storage/base/digest.h"

namespace ckpt::integration {
namespace {

namespace fs = std::filesystem;

std::string Text(v1::Checkpoint checkpoint) {
  checkpoint.clear_create_time();
  checkpoint.clear_commit_time();
  checkpoint.clear_writer_epoch();
  checkpoint.clear_policy_states();
  return checkpoint.ShortDebugString();
}

std::string Text(v1::RecordedEvent recorded) {
  recorded.mutable_event()->clear_time_unix_nanos();
  for (v1::Checkpoint& save : *recorded.mutable_decision()->mutable_saves()) {
    save.clear_create_time();
    save.clear_writer_epoch();
    save.clear_policy_states();
  }
  return recorded.ShortDebugString();
}

std::string Describe(const std::string& name, size_t size, std::string_view digest) {
  return fmt::format("{} {} {}", name, size, Hex(digest));
}

std::vector<std::string> FilesBelow(const fs::path& folder) {
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    StreamDigest digest;
    digest.Update(bytes);
    files.push_back(
        Describe(entry.path().lexically_relative(folder).string(), bytes.size(), digest.Whole()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

RunView Observe(const DaemonProcess& daemon, const std::string& run) {
  Client client({.server = daemon.server()});
  RunView view;
  std::vector<std::string> expected_files;
  absl::Status status =
      client.ListCheckpoints(run, "", "", 0, [&](const v1::Checkpoint& checkpoint) {
        view.checkpoints.push_back(Text(checkpoint));
        for (const v1::Placement& placement : checkpoint.placements()) {
          EXPECT_EQ(placement.projection_error(), "") << placement.filepath();
          const v1::Part& part = checkpoint.parts(0);
          expected_files.push_back(
              Describe(placement.filepath(), static_cast<size_t>(part.size()), part.xxh3_128()));
        }
        return true;
      });
  EXPECT_TRUE(status.ok()) << status;
  status = client.ListEvents(run, [&](const v1::RecordedEvent& event) {
    view.events.push_back(Text(event));
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  view.files = FilesBelow(daemon.data_dir() + "/runs/" + run);
  std::sort(expected_files.begin(), expected_files.end());
  EXPECT_EQ(view.files, expected_files);
  return view;
}

}  // namespace ckpt::integration
