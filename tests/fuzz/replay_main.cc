// Feeds a target its corpus, and variations of it that are the same in every run: the regression
// test for builds without libFuzzer.
//
//   TARGET CORPUS_FOLDER [VARIATIONS]

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

namespace {

constexpr int kDefaultVariations = 20'000;
constexpr size_t kMaxBytes = 4096;

void Run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

std::vector<std::string> ReadCorpus(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

// A few bytes changed, dropped, doubled, or taken from another input.
std::string Vary(const std::vector<std::string>& corpus, std::mt19937& random) {
  const auto below = [&](size_t n) { return n == 0 ? 0 : random() % n; };
  std::string input = corpus[below(corpus.size())];
  for (size_t changes = 1 + below(4); changes > 0; --changes) {
    const size_t at = below(input.size() + 1);
    const size_t length = std::min(below(8) + 1, input.size() - at);
    switch (below(4)) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(random());
        break;
      case 1:
        input.erase(at, length);
        break;
      case 2:
        input.insert(at, input.substr(at, length));
        break;
      default: {
        const std::string& other = corpus[below(corpus.size())];
        input.insert(at, other.substr(below(other.size() + 1), below(32)));
      }
    }
  }
  input.resize(std::min(input.size(), kMaxBytes));
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER [VARIATIONS]\n", argv[0]);
    return 2;
  }
  const std::vector<std::string> corpus = ReadCorpus(argv[1]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: the corpus '%s' is empty\n", argv[0], argv[1]);
    return 1;
  }
  for (const std::string& input : corpus) Run(input);
  const int variations = argc > 2 ? std::atoi(argv[2]) : kDefaultVariations;
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same in every run
  for (int i = 0; i < variations; ++i) Run(Vary(corpus, random));
  std::printf("%zu inputs and %d variations\n", corpus.size(), variations);
  return 0;
}
