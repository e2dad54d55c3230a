#include "server/run/snapshots.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "storage/base/names.h"
#include "storage/catalog/key_encoding.h"

namespace ckpt::server {
namespace {

uint64_t NumberOf(const v1::Checkpoint& save) {
  return *storage::ParseCheckpointId(ParseCheckpointName(save.name())->id);
}

}  // namespace

bool IsSnapshot(const v1::Checkpoint& save) {
  return save.placements_size() > 0 &&
         save.placements(0).options().placement() == v1::StorageOptions::PLACEMENT_MEMORY;
}

std::vector<std::string> Snapshots::Hold(const v1::Checkpoint& save, const std::string& part,
                                         int part_count, Store store) {
  Snapshot& snapshot = snapshots_[NumberOf(save)];
  for (const v1::Placement& placement : save.placements()) {
    snapshot.kept[placement.policy()] = std::max(1, placement.options().snapshots());
  }
  snapshot.part_count = part_count;
  snapshot.parts[part] = std::move(store);
  std::vector<std::string> dropped;
  if (!snapshot.complete()) return dropped;
  for (auto next = snapshots_.begin(); next != snapshots_.end();) {
    const auto older = next++;
    if (!older->second.complete() || Needed(older)) continue;
    dropped.push_back(std::to_string(older->first));
    snapshots_.erase(older);
  }
  return dropped;
}

bool Snapshots::Needed(std::map<uint64_t, Snapshot>::const_iterator snapshot) const {
  return std::ranges::any_of(snapshot->second.kept, [&](const auto& policy) {
    const auto newer = std::count_if(std::next(snapshot), snapshots_.end(), [&](const auto& other) {
      return other.second.complete() && other.second.kept.contains(policy.first);
    });
    return newer < policy.second;
  });
}

std::vector<std::string> Snapshots::NewestOfEach() const {
  std::map<std::string, uint64_t> newest;
  for (const auto& [number, snapshot] : snapshots_) {
    if (!snapshot.complete()) continue;
    for (const auto& [policy, kept] : snapshot.kept) newest[policy] = number;
  }
  std::set<uint64_t> numbers;
  for (const auto& [policy, number] : newest) numbers.insert(number);
  std::vector<std::string> found;
  for (const uint64_t number : numbers) found.push_back(std::to_string(number));
  return found;
}

std::string Snapshots::Newest() const {
  const std::vector<std::string> newest = NewestOfEach();
  return newest.empty() ? "" : newest.back();
}

std::vector<std::string> Snapshots::OlderThan(const v1::Checkpoint& save) const {
  std::set<std::string> policies;
  for (const v1::Placement& placement : save.placements()) policies.insert(placement.policy());
  std::vector<std::string> found;
  for (const auto& [number, snapshot] : snapshots_) {
    const bool same = std::ranges::all_of(
        snapshot.kept, [&](const auto& policy) { return policies.contains(policy.first); });
    if (number < NumberOf(save) && same) found.push_back(std::to_string(number));
  }
  return found;
}

std::vector<Snapshots::Store> Snapshots::Take(std::string_view id) {
  std::vector<Store> stores;
  auto taken = snapshots_.extract(storage::ParseCheckpointId(id).value_or(0));
  if (taken.empty()) return stores;
  for (auto& [part, store] : taken.mapped().parts) stores.push_back(std::move(store));
  return stores;
}

void Snapshots::TakeComplete(Snapshots& other) {
  for (auto next = other.snapshots_.begin(); next != other.snapshots_.end();) {
    const auto snapshot = next++;
    if (snapshot->second.complete()) snapshots_.insert(other.snapshots_.extract(snapshot));
  }
}

std::vector<std::string> Snapshots::ids() const {
  std::vector<std::string> ids;
  for (const auto& [number, snapshot] : snapshots_) ids.push_back(std::to_string(number));
  return ids;
}

int64_t Snapshots::complete() const {
  return std::ranges::count_if(snapshots_,
                               [](const auto& entry) { return entry.second.complete(); });
}

}  // namespace ckpt::server
