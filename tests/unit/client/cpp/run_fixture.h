// A Run against a FakeDaemon.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ckpt/run.h"
#include "tests/unit/client/support/fake_daemon.h"

namespace ckpt::testing {

inline v1::Decision SaveDecision(const std::string& message = "") {
  v1::Decision decision;
  v1::PolicyDecision* policy = decision.add_policies();
  policy->set_policy("best");
  policy->set_action(v1::PolicyDecision::ACTION_SAVE);
  policy->set_message(message);
  decision.add_saves()->set_payload(v1::Checkpoint::PAYLOAD_WEIGHTS);
  return decision;
}

inline std::optional<v1::Decision> SaveAtEpochEnds(const v1::Event& event) {
  if (event.kind() != v1::Event::KIND_EPOCH_END) return std::nullopt;
  return SaveDecision();
}

class RunTest : public ::testing::Test {
 protected:
  RunTest() {
    options_.server = daemon_.address();
    options_.run = "run";
    options_.reconnect_timeout = std::chrono::seconds(60);
    options_.weights = [this](const v1::Checkpoint& save) {
      log_.push_back("weights " + save.name());
      return std::vector{PartBytes::Own("weights", Content(save.name()))};
    };
    options_.print = [this](const v1::Decision& decision) {
      log_.push_back("print " + decision.policies(0).message());
    };
    options_.notify = [this](std::string_view text) {
      std::lock_guard lock(notices_mutex_);
      notices_.emplace_back(text);
      noticed_.notify_all();
    };
  }

  // What the callback gives for a save: three and a half of the fake's chunks.
  static std::string Content(const std::string& save) {
    std::string content;
    while (content.size() < 3500) content += save + " ";
    return content;
  }

  std::unique_ptr<ckpt::Run> Start() {
    auto run = ckpt::Run::Start(options_);
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *std::move(run) : nullptr;
  }

  // The recorded kinds, one letter each: B(egin), E(poch begin), b(atch), e(poch end), T(rain end).
  std::string Kinds() {
    return daemon_.With([](FakeDaemon& daemon) {
      std::string kinds;
      for (const v1::Event& event : daemon.events) kinds += "?BTEeb"[event.kind()];
      return kinds;
    });
  }

  // Which of them asked for a decision: one letter each, y or n.
  std::string Asked() {
    return daemon_.With([](FakeDaemon& daemon) {
      std::string asked;
      for (const v1::Event& event : daemon.events) asked += event.wants_decision() ? 'y' : 'n';
      return asked;
    });
  }

  // Waits for a notice that contains `text`.
  void AwaitNotice(const std::string& text) {
    std::unique_lock lock(notices_mutex_);
    noticed_.wait(lock, [&] {
      return std::any_of(notices_.begin(), notices_.end(), [&](const std::string& notice) {
        return notice.find(text) != std::string::npos;
      });
    });
  }

  FakeDaemon daemon_;
  RunOptions options_;
  std::vector<std::string> log_;  // of the event's thread
  std::mutex notices_mutex_;
  std::condition_variable noticed_;
  std::vector<std::string> notices_;
};

}  // namespace ckpt::testing
