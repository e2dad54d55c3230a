#include "server/rpc/upload_window.h"

#include <gtest/gtest.h>

#include <vector>

namespace ckpt::server {
namespace {

constexpr int64_t kChunk = 100;

TEST(UploadWindowTest, GivesGrantsBackWhenTheirBytesHaveCome) {
  struct Step {
    int64_t offset;
    int given_back;
    int held;
    int64_t end;
  };
  struct Case {
    const char* what;
    int64_t begin;
    int grants;
    std::vector<Step> steps;
  };
  const Case cases[] = {
      {"none", 0, 0, {{0, 0, 0, 0}}},
      {"whole chunks", 0, 3, {{100, 1, 2, 300}, {200, 1, 1, 300}, {300, 1, 0, 300}}},
      {"several at once", 0, 3, {{200, 2, 1, 300}}},
      {"resumed", 1050, 2, {{1150, 1, 1, 1250}, {1250, 1, 0, 1250}}},
      {"small ones", 0, 2, {{1, 0, 2, 200}, {99, 0, 2, 200}, {100, 1, 1, 200}, {199, 0, 1, 200}}},
      {"of uneven size", 0, 2, {{70, 0, 2, 200}, {140, 1, 1, 200}, {200, 1, 0, 200}}},
      {"bytes that are known already", 50, 2, {{50, 0, 2, 250}, {50, 0, 2, 250}}},
      {"a sender that ignores it", 0, 1, {{60, 0, 1, 100}, {160, 1, 0, 160}, {200, 0, 0, 200}}},
  };
  for (const Case& test : cases) {
    UploadWindow window(kChunk);
    for (int i = 0; i < test.grants; ++i) window.Extend();
    EXPECT_EQ(window.held(), test.grants) << test.what;
    window.Begin(test.begin);
    EXPECT_EQ(window.held(), test.grants) << test.what;
    for (const Step& step : test.steps) {
      EXPECT_EQ(window.MoveTo(step.offset), step.given_back) << test.what << " " << step.offset;
      EXPECT_EQ(window.held(), step.held) << test.what << " " << step.offset;
      EXPECT_EQ(window.end(), step.end) << test.what << " " << step.offset;
    }
    EXPECT_EQ(window.Close(), test.steps.back().held) << test.what;
    EXPECT_EQ(window.held(), 0) << test.what;
    EXPECT_EQ(window.Close(), 0) << test.what;
  }
}

// Whatever comes in whichever order, each grant is given back once.
TEST(UploadWindowTest, PromisesNoMoreThanIsHeld) {
  for (const int64_t step : {1, 7, 99, 100}) {
    UploadWindow window(kChunk);
    int granted = 0;
    int given_back = 0;
    for (int64_t offset = 0; offset < 10 * kChunk; offset += step) {
      given_back += window.MoveTo(offset);
      while (window.held() < 3) {
        const int64_t end = window.end();
        window.Extend();
        ++granted;
        EXPECT_EQ(window.end(), end + kChunk);
      }
      EXPECT_LE(window.end() - offset, 3 * kChunk) << step;
      EXPECT_EQ(granted - given_back, 3) << step;
    }
    EXPECT_EQ(given_back + window.Close(), granted) << step;
  }
}

}  // namespace
}  // namespace ckpt::server
