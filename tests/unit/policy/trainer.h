// A training run in one process: feeds events to a PolicySet and keeps what the owner of a run
// keeps.
#pragma once

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "server/policy/decide.h"
#include "storage/base/errors.h"

namespace ckpt::policy {

// A policy named "p" that writes to "f", with `fields` (text format) put on top.
inline v1::CheckpointPolicy ParseSpec(const std::string& fields) {
  v1::CheckpointPolicy spec;
  spec.set_name("p");
  spec.set_filepath("f");
  google::protobuf::TextFormat::Parser parser;
  EXPECT_TRUE(parser.MergeFromString(fields, &spec)) << fields;
  return spec;
}

inline Logs MakeLogs(const std::map<std::string, double>& values) {
  Logs logs;
  for (const auto& [name, value] : values) logs[name].number = value;
  return logs;
}

class Trainer {
 public:
  using Values = std::map<std::string, double>;

  explicit Trainer(const std::vector<std::string>& specs) {
    std::vector<v1::CheckpointPolicy> parsed;
    for (const std::string& spec : specs) parsed.push_back(ParseSpec(spec));
    auto created = PolicySet::Create(parsed);
    EXPECT_TRUE(created.ok()) << MessageOf(created.status());
    if (!created.ok()) return;
    set = *std::move(created);
    states = set.CarryOver({}, false);
  }
  explicit Trainer(const std::string& spec) : Trainer(std::vector{spec}) {}

  v1::Decision EpochBegin(int64_t index) { return Feed(v1::Event::KIND_EPOCH_BEGIN, index, 0, {}); }
  v1::Decision EpochEnd(int64_t index, const Values& values) {
    return Feed(v1::Event::KIND_EPOCH_END, index, 0, MakeLogs(values));
  }
  v1::Decision BatchEnd(int64_t index, const Values& values) {
    return Feed(v1::Event::KIND_BATCH_END, epoch, index, MakeLogs(values));
  }
  v1::Decision Feed(v1::Event::Kind kind, int64_t epoch_index, int64_t batch, const Logs& logs) {
    epoch = epoch_index;
    const EventView event{++seq, kind, epoch_index, batch, &logs};
    const auto check = [this](std::string_view path) {
      return blocked.contains(path) ? PathBlocked(path, blocked.find(path)->second)
                                    : absl::OkStatus();
    };
    std::vector<v1::PolicyState> passed = states;
    const bool acts = set.Act(event, states);
    if (!acts) set.Pass(event, passed);
    const v1::Decision decision =
        set.Decide(event, "r", answered_before, check, states, &last_checkpoint_id);
    EXPECT_EQ(acts, decision.policies_size() > 0);
    if (!acts) ExpectSame(passed);
    if (!commit) return decision;
    for (uint64_t id = committed + 1; id <= last_checkpoint_id; ++id) {
      set.Committed(std::to_string(id), states);
    }
    committed = last_checkpoint_id;
    return decision;
  }

  PolicySet set;
  std::vector<v1::PolicyState> states;
  uint64_t seq = 0;
  int64_t epoch = 0;
  uint64_t last_checkpoint_id = 0;
  bool commit = true;  // every save at once
  bool answered_before = false;
  std::map<std::string, std::string, std::less<>> blocked;  // path to what is in the way

 private:
  void ExpectSame(const std::vector<v1::PolicyState>& others) const {
    ASSERT_EQ(others.size(), states.size());
    for (size_t i = 0; i < states.size(); ++i) {
      EXPECT_EQ(others[i].SerializeAsString(), states[i].SerializeAsString());
    }
  }

  uint64_t committed = 0;
};

}  // namespace ckpt::policy
