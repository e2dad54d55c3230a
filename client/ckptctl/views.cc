#include "client/ckptctl/views.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "client/ckptctl/target.h"
#include "client/ckptctl/text.h"
#include "google/protobuf/util/time_util.h"

namespace ckpt::ctl {
namespace {

// "STATE_RUNNING" as "running".
std::string Lower(std::string_view name, std::string_view prefix) {
  std::string text(name.starts_with(prefix) ? name.substr(prefix.size()) : name);
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string StateOf(const v1::Run& run) {
  return Lower(v1::Run::State_Name(run.state()), "STATE_");
}

std::string Bytes(int64_t bytes, Reader reader) {
  return reader == Reader::kPerson ? HumanBytes(bytes) : std::to_string(bytes);
}

std::string Number(double value, Reader reader) {
  return reader == Reader::kPerson ? HumanNumber(value) : ExactNumber(value);
}

std::string Time(const google::protobuf::Timestamp& time, Reader reader) {
  return reader == Reader::kPerson ? HumanTime(time) : ExactTime(time);
}

void Append(std::string& list, std::string_view separator, const std::string& item) {
  if (!list.empty()) list += separator;
  list += item;
}

// Values of a protobuf map, in the order of their keys.
template <typename Map, typename Text>
std::string Pairs(const Map& map, Text text) {
  std::string list;
  for (const auto& [key, value] : std::map(map.begin(), map.end())) {
    Append(list, " ", fmt::format("{}={}", key, text(value)));
  }
  return list;
}

std::string Labels(const v1::Run& run) {
  return Pairs(run.labels(), [](const std::string& value) { return value; });
}

std::string Metrics(const v1::Checkpoint& checkpoint, Reader reader) {
  return Pairs(checkpoint.metrics(), [reader](double value) { return Number(value, reader); });
}

std::string MonitorOf(const v1::CheckpointPolicy& policy) {
  return policy.monitor().empty() ? "val_loss" : policy.monitor();
}

// "val_loss=0.093" for each policy that has a best checkpoint.
std::string Best(const v1::Run& run, Reader reader) {
  std::string list;
  for (int i = 0; i < std::min(run.policies_size(), run.policy_states_size()); ++i) {
    const v1::PolicyState& state = run.policy_states(i);
    if (state.best_checkpoint_id().empty()) continue;
    Append(list, " ",
           fmt::format("{}={}", MonitorOf(run.policies(i)), Number(state.best(), reader)));
  }
  return list;
}

std::string PolicyNames(const v1::Run& run) {
  std::string list;
  for (const v1::CheckpointPolicy& policy : run.policies()) Append(list, ",", policy.name());
  return list;
}

template <typename Text>
std::string OfPlacements(const v1::Checkpoint& checkpoint, Text text) {
  std::string list;
  for (const v1::Placement& placement : checkpoint.placements()) {
    if (const std::string item = text(placement); !item.empty()) Append(list, ",", item);
  }
  return list;
}

std::string Files(const v1::Checkpoint& checkpoint) {
  return OfPlacements(checkpoint,
                      [](const v1::Placement& placement) { return placement.filepath(); });
}

std::string Policies(const v1::Checkpoint& checkpoint) {
  return OfPlacements(checkpoint,
                      [](const v1::Placement& placement) { return placement.policy(); });
}

std::string Values(const v1::Checkpoint& checkpoint, Reader reader) {
  return OfPlacements(checkpoint, [reader](const v1::Placement& placement) {
    return placement.has_value() ? Number(placement.value(), reader) : std::string();
  });
}

std::string BatchOf(const v1::Checkpoint& checkpoint) {
  return checkpoint.has_batch() ? std::to_string(checkpoint.batch()) : "";
}

std::string SaveFreq(const v1::CheckpointPolicy& policy) {
  const google::protobuf::Value& freq = policy.save_freq();
  if (freq.has_number_value()) return fmt::format("{} batches", ExactNumber(freq.number_value()));
  if (policy.has_period() && policy.period() > 1) return fmt::format("{} epochs", policy.period());
  return freq.has_string_value() ? freq.string_value() : "epoch";
}

// "Field:   value" lines, without those that have none.
class Fields {
 public:
  explicit Fields(std::ostream& out) : out_(out) {}

  void Add(std::string_view field, const std::string& value) {
    if (!value.empty())
      out_ << fmt::format("{:<13} {}\n", fmt::format("{}:", field), Escaped(value));
  }

 private:
  std::ostream& out_;
};

void DescribePolicies(const v1::Run& run, std::ostream& out) {
  if (run.policies().empty()) return;
  out << '\n';
  const auto rows = MakeTableWriter(
      out, {"POLICY", "MONITOR", "BEST ONLY", "EVERY", "BEST", "BEST CHECKPOINT", "FILE"});
  const std::string target = TargetOfRun(run.name());
  for (int i = 0; i < run.policies_size(); ++i) {
    const v1::CheckpointPolicy& policy = run.policies(i);
    const v1::PolicyState state =
        i < run.policy_states_size() ? run.policy_states(i) : v1::PolicyState();
    const std::string& best = state.best_checkpoint_id();
    rows->Write({policy.name(), MonitorOf(policy), policy.save_best_only() ? "yes" : "no",
                 SaveFreq(policy), HumanNumber(state.best()),
                 best.empty() ? "" : fmt::format("{}@{}", target, best), policy.filepath()});
  }
  rows->Finish();
}

std::string Hexadecimal(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

}  // namespace

const View<v1::Run>& RunView() {
  using R = v1::Run;
  static const auto& view = *new View<R>{
      {{"RUN", true, [](const R& r, Reader) { return TargetOfRun(r.name()); }},
       {"STATE", true, [](const R& r, Reader) { return StateOf(r); }},
       {"EPOCH", true, [](const R& r, Reader) { return std::to_string(r.epoch()); }},
       {"CHECKPOINTS", true,
        [](const R& r, Reader) { return std::to_string(r.checkpoint_count()); }},
       {"SIZE", true, [](const R& r, Reader to) { return Bytes(r.checkpoint_bytes(), to); }},
       {"BEST", true, [](const R& r, Reader to) { return Best(r, to); }},
       {"UPDATED", true, [](const R& r, Reader to) { return Time(r.update_time(), to); }},
       {"CREATED", false, [](const R& r, Reader to) { return Time(r.create_time(), to); }},
       {"POLICIES", false, [](const R& r, Reader) { return PolicyNames(r); }},
       {"LABELS", false, [](const R& r, Reader) { return Labels(r); }}},
      [](const R& r) { return TargetOfRun(r.name()); }};
  return view;
}

const View<v1::Checkpoint>& CheckpointView() {
  using C = v1::Checkpoint;
  static const auto& view = *new View<C>{
      {{"CHECKPOINT", true, [](const C& c, Reader) { return TargetOfCheckpoint(c.name()); }},
       {"EPOCH", true, [](const C& c, Reader) { return std::to_string(c.epoch()); }},
       {"BATCH", true, [](const C& c, Reader) { return BatchOf(c); }},
       {"POLICY", true, [](const C& c, Reader) { return Policies(c); }},
       {"VALUE", true, [](const C& c, Reader to) { return Values(c, to); }},
       {"SIZE", true, [](const C& c, Reader to) { return Bytes(c.size(), to); }},
       {"COMMITTED", true, [](const C& c, Reader to) { return Time(c.commit_time(), to); }},
       {"FILE", true,
        [](const C& c, Reader) { return c.damage().empty() ? Files(c) : "(damaged) " + Files(c); }},
       {"SEQ", false, [](const C& c, Reader) { return std::to_string(c.seq()); }},
       {"PAYLOAD", false,
        [](const C& c, Reader) { return Lower(C::Payload_Name(c.payload()), "PAYLOAD_"); }},
       {"PARTS", false, [](const C& c, Reader) { return std::to_string(c.parts_size()); }},
       {"METRICS", false, [](const C& c, Reader to) { return Metrics(c, to); }}},
      [](const C& c) { return TargetOfCheckpoint(c.name()); }};
  return view;
}

const View<v1::Status>& StatusView() {
  using S = v1::Status;
  static const auto& view = *new View<S>{
      {{"VERSION", true, [](const S& s, Reader) { return s.version(); }},
       {"PID", true, [](const S& s, Reader) { return std::to_string(s.pid()); }},
       {"SERVING", true, [](const S& s, Reader) { return s.serving() ? "true" : "false"; }},
       {"STARTED", true, [](const S& s, Reader to) { return Time(s.start_time(), to); }},
       {"DATA DIR", true, [](const S& s, Reader) { return s.data_dir(); }},
       {"RUNS", true, [](const S& s, Reader) { return std::to_string(s.runs()); }},
       {"TRAINERS", true,
        [](const S& s, Reader) { return std::to_string(s.connected_trainers()); }},
       {"CHECKPOINTS", true, [](const S& s, Reader) { return std::to_string(s.checkpoints()); }},
       {"SIZE", true, [](const S& s, Reader to) { return Bytes(s.checkpoint_bytes(), to); }},
       {"OPEN SAVES", true, [](const S& s, Reader) { return std::to_string(s.open_saves()); }},
       {"STAGED", true, [](const S& s, Reader to) { return Bytes(s.staged_bytes(), to); }},
       {"FREE", true, [](const S& s, Reader to) { return Bytes(s.free_bytes(), to); }}},
      [](const S& s) { return s.data_dir(); }};
  return view;
}

const View<v1::Damage>& DamageView() {
  using D = v1::Damage;
  static const auto& view = *new View<D>{
      {{"CHECKPOINT", true, [](const D& d, Reader) { return TargetOfCheckpoint(d.checkpoint()); }},
       {"WHAT", true, [](const D& d, Reader) { return Lower(D::Kind_Name(d.kind()), "KIND_"); }},
       {"WHICH", true,
        [](const D& d, Reader) { return d.part().empty() ? d.filepath() : d.part(); }},
       {"RANK", false, [](const D& d, Reader) { return std::to_string(d.rank()); }},
       {"REPAIRED", true, [](const D& d, Reader) { return d.repaired() ? "yes" : "no"; }},
       {"PROBLEM", true, [](const D& d, Reader) { return d.message(); }}},
      [](const D& d) { return TargetOfCheckpoint(d.checkpoint()); }};
  return view;
}

void DescribeRun(const v1::Run& run, std::ostream& out) {
  Fields fields(out);
  fields.Add("Run", TargetOfRun(run.name()));
  fields.Add("State", StateOf(run));
  fields.Add("Labels", Labels(run));
  fields.Add("Created", HumanTime(run.create_time()));
  fields.Add("Updated", HumanTime(run.update_time()));
  fields.Add("Epoch", std::to_string(run.epoch()));
  fields.Add("Events", std::to_string(run.durable_seq()));
  fields.Add("Checkpoints",
             fmt::format("{} ({})", run.checkpoint_count(), HumanBytes(run.checkpoint_bytes())));
  DescribePolicies(run, out);
  out.flush();
}

void DescribeCheckpoint(const v1::Checkpoint& checkpoint, std::ostream& out) {
  Fields fields(out);
  fields.Add("Checkpoint", TargetOfCheckpoint(checkpoint.name()));
  fields.Add("Payload", Lower(v1::Checkpoint::Payload_Name(checkpoint.payload()), "PAYLOAD_"));
  fields.Add("Epoch", std::to_string(checkpoint.epoch()));
  fields.Add("Batch", BatchOf(checkpoint));
  fields.Add("Size", HumanBytes(checkpoint.size()));
  fields.Add("Decided", HumanTime(checkpoint.create_time()));
  fields.Add("Committed", HumanTime(checkpoint.commit_time()));
  fields.Add("Metrics", Metrics(checkpoint, Reader::kProgram));
  fields.Add("Damage", checkpoint.damage());

  out << '\n';
  const auto files = MakeTableWriter(out, {"POLICY", "VALUE", "FILE", "PROBLEM"});
  for (const v1::Placement& placement : checkpoint.placements()) {
    files->Write({placement.policy(),
                  placement.has_value() ? ExactNumber(placement.value()) : std::string(),
                  placement.filepath(), placement.projection_error()});
  }
  files->Finish();

  out << '\n';
  const auto parts = MakeTableWriter(out, {"PART", "RANK", "SIZE", "XXH3-128"});
  for (const v1::Part& part : checkpoint.parts()) {
    parts->Write({part.part(), std::to_string(part.rank()), HumanBytes(part.size()),
                  Hexadecimal(part.xxh3_128())});
  }
  parts->Finish();
}

void DescribeStatus(const v1::Status& status, const std::string& server, std::ostream& out) {
  std::string listen;
  for (const std::string& address : status.listen()) Append(listen, ", ", address);
  const v1::RecoveryReport& recovery = status.recovery();
  Fields fields(out);
  fields.Add("Server",
             fmt::format("{} (ckptd {}, pid {})", server, status.version(), status.pid()));
  fields.Add("Serving", status.serving() ? std::string("yes")
                                         : fmt::format("no: {}", status.not_serving_reason()));
  fields.Add("Started", HumanTime(status.start_time()));
  fields.Add("Listening", listen);
  fields.Add("HTTP", status.http());
  fields.Add("Local socket", status.local_socket());
  if (!status.local_socket().empty()) {
    fields.Add(
        "Handed over",
        fmt::format("{} parts past the page cache, {} through it ({} in slots)",
                    status.direct_parts(), status.paced_parts(), HumanBytes(status.slot_bytes())));
    fields.Add("Snapshots", fmt::format("{} held in memory", status.snapshots()));
  }
  fields.Add("Data", status.data_dir());
  fields.Add("Free", HumanBytes(status.free_bytes()));
  fields.Add("Runs", fmt::format("{} ({} connected)", status.runs(), status.connected_trainers()));
  fields.Add("Checkpoints",
             fmt::format("{} ({})", status.checkpoints(), HumanBytes(status.checkpoint_bytes())));
  fields.Add("Open saves", fmt::format("{} ({} received)", status.open_saves(),
                                       HumanBytes(status.staged_bytes())));
  fields.Add("Recovery",
             fmt::format("{} saves completed, {} names restored, {} deletions finished, {} orphans "
                         "removed in {}",
                         recovery.completed_saves(), recovery.projected_names(),
                         recovery.finished_evictions(), recovery.removed_orphans(),
                         google::protobuf::util::TimeUtil::ToString(recovery.took())));
  out.flush();
}

}  // namespace ckpt::ctl
