#include "client/ckptctl/suggestion.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace ckpt::ctl {
namespace {

// Insertions, deletions and replacements that turn `a` into `b`.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string Suggest(std::string_view typed, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = 3;  // from here on it is another word
  for (const std::string& candidate : candidates) {
    const bool prefix = typed.size() >= 2 && candidate.starts_with(typed);
    const size_t distance = prefix ? 1 : EditDistance(typed, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace ckpt::ctl
