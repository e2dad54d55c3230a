#include "server/rpc/hello.h"

#include <gtest/gtest.h>

#include <functional>

#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

TEST(HelloTest, AGoodOne) {
  v1::Hello hello;
  hello.set_run("runs/digits-1.x_y");
  hello.set_world_size(1);
  hello.set_resumed_from("12");
  (*hello.mutable_labels())["team/name"] = "";
  const auto run = CheckHello(hello);
  ASSERT_TRUE(run.ok()) << run.status();
  EXPECT_EQ(*run, "digits-1.x_y");
}

TEST(HelloTest, BadOnes) {
  struct Case {
    const char* what;
    std::function<void(v1::Hello&)> spoil;
    v1::ErrorReason reason;
  };
  const Case cases[] = {
      {"no prefix", [](v1::Hello& h) { h.set_run("digits"); }, v1::ERROR_REASON_NAME_INVALID},
      {"empty", [](v1::Hello& h) { h.set_run("runs/"); }, v1::ERROR_REASON_NAME_INVALID},
      {"dots", [](v1::Hello& h) { h.set_run("runs/.."); }, v1::ERROR_REASON_NAME_INVALID},
      {"slash", [](v1::Hello& h) { h.set_run("runs/a/b"); }, v1::ERROR_REASON_NAME_INVALID},
      {"space", [](v1::Hello& h) { h.set_run("runs/a b"); }, v1::ERROR_REASON_NAME_INVALID},
      {"long", [](v1::Hello& h) { h.set_run("runs/" + std::string(129, 'a')); },
       v1::ERROR_REASON_NAME_INVALID},
      {"rank", [](v1::Hello& h) { h.set_rank(1); }, v1::ERROR_REASON_FIELD_INVALID},
      {"world", [](v1::Hello& h) { h.set_world_size(2); }, v1::ERROR_REASON_UNSUPPORTED},
      {"start", [](v1::Hello& h) { h.set_start(static_cast<v1::Hello::Start>(9)); },
       v1::ERROR_REASON_FIELD_INVALID},
      {"label key", [](v1::Hello& h) { (*h.mutable_labels())["Team"] = "x"; },
       v1::ERROR_REASON_NAME_INVALID},
      {"label value", [](v1::Hello& h) { (*h.mutable_labels())["team"] = std::string(257, 'x'); },
       v1::ERROR_REASON_LIMIT_EXCEEDED},
      {"labels",
       [](v1::Hello& h) {
         for (int i = 0; i < 65; ++i) (*h.mutable_labels())[std::to_string(i)] = "";
       },
       v1::ERROR_REASON_LIMIT_EXCEEDED},
      {"resumed_from alias", [](v1::Hello& h) { h.set_resumed_from("latest"); },
       v1::ERROR_REASON_FIELD_INVALID},
      {"resumed_from path", [](v1::Hello& h) { h.set_resumed_from("../1"); },
       v1::ERROR_REASON_FIELD_INVALID},
      {"client", [](v1::Hello& h) { h.set_client(std::string(257, 'x')); },
       v1::ERROR_REASON_LIMIT_EXCEEDED},
  };
  for (const Case& test : cases) {
    v1::Hello hello;
    hello.set_run("runs/r");
    test.spoil(hello);
    EXPECT_EQ(ReasonOf(CheckHello(hello).status()), test.reason) << test.what;
  }
}

TEST(HelloTest, ShowsALongLabelKeyCutBetweenCodePoints) {
  std::string key;
  for (int i = 0; i < 40; ++i) key += "ä";
  v1::Hello hello;
  hello.set_run("runs/r");
  (*hello.mutable_labels())[key] = "x";
  const std::string shown = MetadataOf(CheckHello(hello).status()).at("value");
  EXPECT_EQ(shown, key.substr(0, 62)) << "63 would end within a code point";
}

}  // namespace
}  // namespace ckpt::server
