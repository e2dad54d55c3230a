#include "client/cpp/src/event_log.h"

#include <gtest/gtest.h>

namespace ckpt::client {
namespace {

v1::Limits Limits(int events_per_batch) {
  v1::Limits limits;
  limits.set_max_events_per_batch(events_per_batch);
  limits.set_max_metrics_per_event(2000);
  limits.set_max_metric_name_bytes(256);
  return limits;
}

uint64_t Append(EventLog& log, std::vector<Metric> logs) {
  v1::Event event;
  EXPECT_TRUE(log.dictionary().Encode(logs, Limits(1), &event).ok());
  return log.Append(std::move(event));
}

std::vector<uint64_t> Seqs(const v1::EventBatch& batch) {
  std::vector<uint64_t> seqs;
  for (const v1::Event& event : batch.events()) seqs.push_back(event.seq());
  return seqs;
}

std::vector<std::string> Names(const v1::EventBatch& batch) {
  std::vector<std::string> names;
  for (const v1::MetricName& name : batch.metrics()) names.push_back(name.name());
  return names;
}

v1::EventBatch Take(EventLog& log, int most = 100) {
  v1::EventBatch batch;
  log.TakeBatch(Limits(most), &batch);
  return batch;
}

using U = std::vector<uint64_t>;
using S = std::vector<std::string>;

TEST(EventLogTest, NumbersGoOnAfterWhatIsDurable) {
  EventLog log;
  log.StartAfter(41);
  EXPECT_EQ(Append(log, {}), 42u);
  EXPECT_EQ(Append(log, {}), 43u);
  EXPECT_EQ(Seqs(Take(log)), (U{42, 43}));
  v1::EventBatch nothing;
  EXPECT_FALSE(log.TakeBatch(Limits(100), &nothing));
}

TEST(EventLogTest, ANameIsDeclaredOnceAStream) {
  EventLog log;
  Append(log, {{"loss", 1.0}});
  Append(log, {{"loss", 1.0}, {"step", 7}});
  EXPECT_EQ(Names(Take(log, 1)), S{"loss"});
  EXPECT_EQ(Names(Take(log, 1)), S{"step"});
  Append(log, {{"step", 8}});
  EXPECT_EQ(Names(Take(log)), S{});
}

TEST(EventLogTest, ANewStreamGetsEverythingThatIsNotDurable) {
  EventLog log;
  Append(log, {{"a", 1.0}});
  Append(log, {{"b", 1.0}});
  Append(log, {{"a", 1.0}});
  Take(log, 2);
  log.Acknowledge(1);
  log.Rewind();
  const v1::EventBatch batch = Take(log);
  EXPECT_EQ(Seqs(batch), (U{2, 3}));
  EXPECT_EQ(Names(batch), (S{"b", "a"}));
}

TEST(EventLogTest, DurableEventsAreForgotten) {
  EventLog log;
  for (int i = 0; i < 5; ++i) Append(log, {});
  Take(log, 2);
  log.Acknowledge(3);  // one more than was sent on this stream: it was durable before
  EXPECT_EQ(log.durable_seq(), 3u);
  EXPECT_EQ(log.last_seq(), 5u);
  EXPECT_EQ(Seqs(Take(log)), (U{4, 5}));
  log.Acknowledge(2);  // late news
  EXPECT_EQ(log.durable_seq(), 3u);
  log.Acknowledge(99);  // more than there is
  EXPECT_EQ(log.durable_seq(), 5u);
  EXPECT_TRUE(log.pending().empty());
}

TEST(EventLogTest, ABatchStaysFarBelowTheLimitOfAMessage) {
  EventLog log;
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back(std::string(200, 'n') + std::to_string(i));
  std::vector<Metric> logs;
  for (const std::string& name : names) logs.emplace_back(name, 0.5);
  for (int i = 0; i < 500; ++i) Append(log, logs);
  size_t events = 0;
  v1::EventBatch batch;
  while (log.TakeBatch(Limits(4096), &batch)) {
    EXPECT_LT(batch.ByteSizeLong(), size_t{2} << 20);
    events += static_cast<size_t>(batch.events_size());
    batch.Clear();
  }
  EXPECT_EQ(events, 500u);
}

}  // namespace
}  // namespace ckpt::client
