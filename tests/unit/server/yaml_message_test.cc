#include "server/yaml_message.h"

#include <gmock/gmock.h>

#include "ckpt/v1/config.pb.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

using testing::HasSubstr;

TEST(YamlMessageTest, ReadsEveryShapeOfField) {
  v1::DaemonConfig config;
  const absl::Status status = ParseYaml(R"(
data_dir: /data
listen: [ "127.0.0.1:1", unix:/run/x.sock ]
reflection: false
limits:
  io_threads: 8
policies:
  - name: best
    filepath: "w-{epoch:02d}"
    save_best_only: true
    save_freq: epoch
    initial_value_threshold: .5
    options:
      projection: PROJECTION_COPY
  - name: often
    filepath: b
    save_freq: 50
  - name: quoted
    filepath: b
    save_freq: "50"
rules:
  - runs: "digits-*"
    policies: [best]
)",
                                        "test.yaml", &config);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(config.listen(1), "unix:/run/x.sock");
  EXPECT_TRUE(config.has_reflection());
  EXPECT_FALSE(config.reflection());
  EXPECT_EQ(config.limits().io_threads(), 8);
  EXPECT_EQ(config.policies(0).save_freq().string_value(), "epoch");
  EXPECT_EQ(config.policies(0).initial_value_threshold(), 0.5);
  EXPECT_EQ(config.policies(0).options().projection(), v1::StorageOptions::PROJECTION_COPY);
  EXPECT_EQ(config.policies(1).save_freq().number_value(), 50);
  EXPECT_EQ(config.policies(2).save_freq().string_value(), "50");
  EXPECT_EQ(config.rules(0).policies(0), "best");
}

TEST(YamlMessageTest, SaysWhatIsWrongAndWhere) {
  const std::pair<const char*, const char*> cases[] = {
      {"lisen: [x]", "t:1: unknown key 'lisen'; did you mean 'listen'?"},
      {"a: 1\n", "did you mean"},
      {"limits:\n  io_treads: 1", "t:2: unknown key 'io_treads'; did you mean 'io_threads'?"},
      {"data_dir: [x]", "t:1: 'data_dir' must be a single value"},
      {"listen: x", "t:1: 'listen' must be a list"},
      {"limits: 3", "t:1: here must be a block"},
      {"limits:\n  io_threads: many", "t:2: 'io_threads' cannot be 'many': it must be int32"},
      {"limits:\n  io_threads: 99999999999", "cannot be '99999999999'"},
      {"reflection: perhaps", "it must be bool"},
      {"data_dir: a\ndata_dir: b", "t:2: key 'data_dir' is given twice"},
      {"data_dir: [", "t:"},
      {"policies:\n- options:\n    projection: LINK", "must be one of PROJECTION_UNSPECIFIED"},
      {"policies:\n- save_freq: {a: 1}", "t:2: here must be a single value"},
      {"- x", "t:1: here must be a block"},
      {"http: a\n---\nhttp: b", "t:2: one document is enough"},
  };
  for (const auto& [yaml, message] : cases) {
    v1::DaemonConfig config;
    const absl::Status status = ParseYaml(yaml, "t", &config);
    EXPECT_EQ(ReasonOf(status), v1::ERROR_REASON_FIELD_INVALID) << yaml;
    EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(message)) << yaml;
  }
}

TEST(YamlMessageTest, AnEmptyFileIsFine) {
  v1::DaemonConfig config;
  EXPECT_TRUE(ParseYaml("", "t", &config).ok());
  EXPECT_TRUE(ParseYaml("# nothing\n", "t", &config).ok());
}

}  // namespace
}  // namespace ckpt::server
