#include "tests/crash/checker.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>
#include <utility>

#include "storage/base/names.h"

namespace ckpt::crash {
namespace {

namespace fs = std::filesystem;

// Names that the daemon is still making begin with this.
constexpr std::string_view kTemporaryPrefix = ".ckptd-";
// What stays so for this long is no commit that is being finished.
constexpr std::chrono::seconds kSettleTime(3);
constexpr std::chrono::milliseconds kSettlePause(50);

Moment MomentOf(const v1::Checkpoint& checkpoint) {
  return {checkpoint.epoch(), checkpoint.has_batch() ? checkpoint.batch() : -1};
}

std::string IdOf(const v1::Checkpoint& checkpoint) {
  return checkpoint.name().substr(checkpoint.name().rfind('/') + 1);
}

// The newest acknowledged moment of each name.
std::map<std::string, Moment> NewestDurable(const Expected& expected) {
  std::map<std::string, Moment> newest;
  for (const auto& [moment, event] : expected.events) {
    if (!event.durable) continue;
    for (const ExpectedSave& save : event.saves) newest[save.path] = moment;
  }
  return newest;
}

// One look at one run.
class Look {
 public:
  Look(Client& client, const std::string& data_dir, const Plan& plan, const Expected& expected)
      : client_(client), data_dir_(data_dir), plan_(plan), expected_(expected) {}

  Violations Take();

 private:
  void Report(Broken broken, const std::string& text) {
    violations_.push_back({broken, fmt::format("{}: {}", plan_.run, text)});
  }
  bool List();
  void CheckEvents();
  void CheckEvent(const v1::RecordedEvent& recorded);
  void CheckCheckpoint(const v1::Checkpoint& checkpoint);
  void CheckPlacements(const v1::Checkpoint& checkpoint);
  void CheckBytes(const v1::Checkpoint& checkpoint);
  void CheckDurable();
  void CheckBest(const v1::CheckpointPolicy& policy);
  void CheckFiles();

  Client& client_;
  const std::string& data_dir_;
  const Plan& plan_;
  const Expected& expected_;
  std::vector<v1::Checkpoint> checkpoints_;              // as listed
  std::map<std::string, const v1::Checkpoint*> owners_;  // by name
  std::set<std::pair<Moment, int>> seen_;                // moments and payloads
  std::set<Moment> recorded_;
  uint64_t newest_seq_ = 0;
  Violations violations_;
};

Violations Look::Take() {
  if (!List()) return violations_;
  for (const v1::Checkpoint& checkpoint : checkpoints_) CheckCheckpoint(checkpoint);
  CheckDurable();
  for (const v1::CheckpointPolicy& policy : plan_.policies) {
    if (policy.save_best_only()) CheckBest(policy);
  }
  CheckEvents();
  CheckFiles();
  return violations_;
}

bool Look::List() {
  const absl::Status listed =
      client_.ListCheckpoints(plan_.run, "", "", 0, [&](const v1::Checkpoint& checkpoint) {
        checkpoints_.push_back(checkpoint);
        return true;
      });
  const bool was_told =
      std::any_of(expected_.events.begin(), expected_.events.end(), [](const auto& event) {
        return event.second.durable || (event.second.decided && !event.second.saves.empty());
      });
  if (absl::IsNotFound(listed) && !was_told) return false;
  if (!listed.ok()) Report(Broken::kLost, "the run: " + listed.ToString());
  for (const v1::Checkpoint& checkpoint : checkpoints_) {
    for (const v1::Placement& placement : checkpoint.placements()) {
      if (owners_.contains(placement.filepath())) {
        Report(Broken::kVisible, placement.filepath() + " is the name of two checkpoints");
      }
      owners_[placement.filepath()] = &checkpoint;
    }
  }
  return listed.ok();
}

void Look::CheckCheckpoint(const v1::Checkpoint& checkpoint) {
  const Moment moment = MomentOf(checkpoint);
  if (!expected_.events.contains(moment)) {
    return Report(Broken::kTorn, checkpoint.name() + " is of a moment that never was");
  }
  if (!seen_.insert({moment, checkpoint.payload()}).second) {
    Report(Broken::kDoubled, fmt::format("two checkpoints of {}", Text(moment)));
  }
  if (checkpoint.state() != v1::Checkpoint::STATE_COMMITTED) {
    Report(Broken::kVisible, checkpoint.name() + " is listed, but not committed");
  }
  const auto loss = checkpoint.metrics().find("val_loss");
  if (loss == checkpoint.metrics().end() || loss->second != ValLoss(plan_, moment)) {
    Report(Broken::kTorn, checkpoint.name() + " has other metrics than its event");
  }
  CheckPlacements(checkpoint);
  CheckBytes(checkpoint);
}

void Look::CheckPlacements(const v1::Checkpoint& checkpoint) {
  for (const v1::Placement& placement : checkpoint.placements()) {
    const bool is_planned = std::any_of(
        plan_.policies.begin(), plan_.policies.end(), [&](const v1::CheckpointPolicy& policy) {
          return policy.name() == placement.policy() &&
                 PathOf(plan_, policy, MomentOf(checkpoint)) == placement.filepath();
        });
    if (!is_planned) {
      Report(Broken::kTorn, checkpoint.name() + " has the name " + placement.filepath());
    }
  }
}

void Look::CheckBytes(const v1::Checkpoint& checkpoint) {
  if (checkpoint.parts_size() != static_cast<int>(plan_.parts.size())) {
    return Report(Broken::kTorn,
                  fmt::format("{} has {} parts", checkpoint.name(), checkpoint.parts_size()));
  }
  for (const std::string& part : plan_.parts) {
    const auto bytes = client_.Read(plan_.run, IdOf(checkpoint), part);
    if (!bytes.ok()) {
      Report(Broken::kLost, checkpoint.name() + " cannot be read: " + bytes.status().ToString());
    } else if (*bytes != Content(plan_, MomentOf(checkpoint), part)) {
      Report(Broken::kTorn, checkpoint.name() + " has other bytes than were sent");
    }
  }
}

void Look::CheckDurable() {
  for (const auto& [path, moment] : NewestDurable(expected_)) {
    const auto owner = owners_.find(path);
    if (owner == owners_.end()) {
      Report(Broken::kLost, fmt::format("{} of {} is gone", path, Text(moment)));
    } else if (MomentOf(*owner->second) < moment) {
      Report(Broken::kLost, fmt::format("{} of {} is that of {} again", path, Text(moment),
                                        Text(MomentOf(*owner->second))));
    }
  }
}

void Look::CheckBest(const v1::CheckpointPolicy& policy) {
  double bound = HUGE_VAL;  // what has been acknowledged
  for (const auto& [moment, event] : expected_.events) {
    if (!event.durable) continue;
    for (const ExpectedSave& save : event.saves) {
      if (save.policy == policy.name()) bound = std::min(bound, ValLoss(plan_, moment));
    }
  }
  double committed = HUGE_VAL;
  for (const v1::Checkpoint& checkpoint : checkpoints_) {
    for (const v1::Placement& placement : checkpoint.placements()) {
      if (placement.policy() != policy.name()) continue;
      committed = std::min(committed, checkpoint.metrics().at("val_loss"));
    }
  }
  const auto best = client_.GetCheckpoint(plan_.run, "best:" + policy.name());
  const double value = best.ok() ? best->metrics().at("val_loss") : HUGE_VAL;
  if (value != committed || value > bound) {
    Report(Broken::kNotBest,
           fmt::format("{} has {}; committed is {}, acknowledged {}; {}", policy.name(), value,
                       committed, bound, best.status().ToString()));
  }
}

void Look::CheckEvents() {
  const absl::Status listed = client_.ListEvents(plan_.run, [&](const v1::RecordedEvent& recorded) {
    CheckEvent(recorded);
    return true;
  });
  if (!listed.ok()) Report(Broken::kLost, "the events: " + listed.ToString());
  for (const auto& [moment, event] : expected_.events) {
    const bool was_promised = event.durable || (event.decided && !event.saves.empty());
    if (was_promised && !recorded_.contains(moment)) {
      Report(Broken::kLost, "the event " + Text(moment));
    }
  }
}

void Look::CheckEvent(const v1::RecordedEvent& recorded) {
  const v1::Event& event = recorded.event();
  if (event.seq() != ++newest_seq_) {
    Report(Broken::kDoubled, fmt::format("event {} where {} was due", event.seq(), newest_seq_));
    newest_seq_ = event.seq();
  }
  const bool is_batch = event.kind() == v1::Event::KIND_BATCH_END;
  if (!is_batch && event.kind() != v1::Event::KIND_EPOCH_END) return;
  const Moment moment{event.epoch(), is_batch ? event.batch() : -1};
  const auto expected = expected_.events.find(moment);
  if (expected == expected_.events.end() || !recorded_.insert(moment).second) {
    return Report(Broken::kDoubled,
                  fmt::format("{} was recorded twice or never was", Text(moment)));
  }
  if (!expected->second.decided) return;
  std::set<std::string> told;
  for (const ExpectedSave& save : expected->second.saves) {
    told.insert(save.policy + "=" + save.id);
  }
  std::set<std::string> decided;
  for (const v1::PolicyDecision& policy : recorded.decision().policies()) {
    if (policy.action() != v1::PolicyDecision::ACTION_SAVE) continue;
    decided.insert(policy.policy() + "=" + policy.save().substr(policy.save().rfind('/') + 1));
  }
  if (told != decided) {
    Report(Broken::kDoubled,
           fmt::format("{} was decided as [{}], its trainer was told [{}]", Text(moment),
                       fmt::join(decided, " "), fmt::join(told, " ")));
  }
}

// The names on disk are those of the list, and the other way round.
void Look::CheckFiles() {
  std::set<std::string> wanted;
  for (const auto& [path, owner] : owners_) {
    for (const std::string& part : plan_.parts) {
      wanted.insert(plan_.parts.size() == 1 ? path : path + '/' + part);
    }
  }
  const fs::path folder = fs::path(data_dir_) / "runs" / plan_.run;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->is_directory()) continue;
    const std::string name = entry->path().lexically_relative(folder).string();
    if (wanted.erase(name) == 0) Report(Broken::kVisible, name + " is no checkpoint's name");
  }
  for (const std::string& name : wanted) Report(Broken::kVisible, name + " is not on the disk");
  for (const Violation& violation : CheckNames(data_dir_, plan_, expected_)) {
    violations_.push_back(violation);
  }
}

}  // namespace

const char* Name(Broken broken) {
  switch (broken) {
    case Broken::kLost:
      return "LOST";
    case Broken::kTorn:
      return "TORN";
    case Broken::kDoubled:
      return "DOUBLED";
    case Broken::kNotBest:
      return "NOT BEST";
    case Broken::kVisible:
      return "VISIBLE";
  }
  return "";
}

std::string Text(const Violations& violations) {
  std::string text;
  for (const Violation& violation : violations) {
    text += fmt::format("  {}: {}\n", Name(violation.broken), violation.text);
  }
  return text;
}

// A commit that a crash has interrupted is finished after the daemon is ready, and may overwrite
// names and remove checkpoints meanwhile: what is only so for a moment is no violation.
Violations CheckRun(Client& client, const std::string& data_dir, const Plan& plan,
                    const Expected& expected) {
  std::string before;
  auto since = std::chrono::steady_clock::now();
  while (true) {
    Violations violations = Look(client, data_dir, plan, expected).Take();
    const std::string text = Text(violations);
    const auto now = std::chrono::steady_clock::now();
    if (text != before) since = now;
    if (violations.empty() || now - since > kSettleTime) return violations;
    before = text;
    std::this_thread::sleep_for(kSettlePause);
  }
}

Violations CheckNames(const std::string& data_dir, const Plan& plan, const Expected& expected) {
  Violations violations;
  const auto newest = NewestDurable(expected);
  const fs::path folder = fs::path(data_dir) / "runs" / plan.run;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string file = entry->path().lexically_relative(folder).string();
    if (entry->path().filename().string().starts_with(kTemporaryPrefix)) {
      entry.disable_recursion_pending();
      continue;
    }
    if (entry->is_directory()) continue;
    std::ifstream stream(entry->path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    const auto content = ParseContent(plan, bytes);
    if (!content.has_value()) {
      violations.push_back({Broken::kTorn, fmt::format("{}: {} holds {} bytes that are no part",
                                                       plan.run, file, bytes.size())});
      continue;
    }
    const std::string path = plan.parts.size() == 1 ? file : file.substr(0, file.rfind('/'));
    const auto durable = newest.find(path);
    if (durable != newest.end() && content->moment < durable->second) {
      violations.push_back(
          {Broken::kVisible, fmt::format("{}: {} shows {}, acknowledged is {}", plan.run, file,
                                         Text(content->moment), Text(durable->second))});
    }
  }
  return violations;
}

}  // namespace ckpt::crash
