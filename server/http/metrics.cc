#include "server/http/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace ckpt::server {
namespace {

using prometheus::Registry;

const prometheus::Histogram::BucketBoundaries kSeconds = {
    0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30};

prometheus::Counter& Counter(Registry& registry, const char* name, const char* help,
                             const prometheus::Labels& labels = {}) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
}

prometheus::Counter& Decisions(Registry& registry, const char* action) {
  return Counter(registry, "ckptd_decisions_total", "Policy decisions", {{"action", action}});
}

prometheus::Counter& StoredParts(Registry& registry, const char* mode) {
  return Counter(
      registry, "ckptd_local_parts_total",
      "Parts stored from shared memory, past the page cache (direct) or through it (paced)",
      {{"mode", mode}});
}

prometheus::Gauge& Gauge(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

prometheus::Histogram& Histogram(Registry& registry, const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, kSeconds);
}

}  // namespace

void MetricCounter::Add(double amount) { counter_.Increment(amount); }
double MetricCounter::Value() const { return counter_.Value(); }
void MetricGauge::Set(double value) { gauge_.Set(value); }
void MetricGauge::Add(double amount) { gauge_.Increment(amount); }
double MetricGauge::Value() const { return gauge_.Value(); }

void MetricTimer::Timing::Stop() const {
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start_;
  histogram_->Observe(took.count());
}

Metrics::Metrics()
    : registry_(std::make_shared<Registry>(Registry::InsertBehavior::Merge)),
      events(Counter(*registry_, "ckptd_events_total", "Training events taken")),
      decisions_save(Decisions(*registry_, "save")),
      decisions_skip(Decisions(*registry_, "skip")),
      decisions_error(Decisions(*registry_, "error")),
      saves_committed(Counter(*registry_, "ckptd_saves_committed_total", "Checkpoints committed")),
      saves_failed(Counter(*registry_, "ckptd_saves_failed_total", "Saves that failed")),
      upload_bytes(Counter(*registry_, "ckptd_upload_bytes_total", "Bytes received")),
      local_bytes(Counter(*registry_, "ckptd_local_bytes_total",
                          "Bytes taken from memory shared with trainers")),
      direct_parts(StoredParts(*registry_, "direct")),
      paced_parts(StoredParts(*registry_, "paced")),
      failed_parts(Counter(*registry_, "ckptd_local_parts_failed_total",
                           "Parts handed over in shared memory that could not be stored")),
      download_bytes(Counter(*registry_, "ckptd_download_bytes_total", "Bytes sent")),
      scrub_bytes(Counter(*registry_, "ckptd_scrub_bytes_total",
                          "Bytes read by the scheduled verification")),
      commit_seconds(Histogram(*registry_, "ckptd_commit_seconds",
                               "Seconds from the last part's end to the committed answer")),
      index_seconds(
          Histogram(*registry_, "ckptd_index_batch_seconds", "Seconds of one synced index batch")),
      index_queue(Gauge(*registry_, "ckptd_index_queue", "Updates waiting for the index")),
      upload_memory(Gauge(*registry_, "ckptd_upload_memory_bytes",
                          "Upload chunks in memory, granted to streams")),
      trainers(Gauge(*registry_, "ckptd_trainers", "Trainers connected")),
      damaged_parts(Gauge(*registry_, "ckptd_damaged_parts",
                          "Damages found by the newest round of the scheduled verification")),
      slots(Gauge(*registry_, "ckptd_slots",
                  "Slots and files of trainers that are held for hand-over")),
      slot_memory(Gauge(*registry_, "ckptd_slot_memory_bytes",
                        "Memory of trainers that is held for hand-over")),
      runs(Gauge(*registry_, "ckptd_runs", "Runs known")),
      checkpoints(Gauge(*registry_, "ckptd_checkpoints", "Committed checkpoints")),
      checkpoint_bytes(
          Gauge(*registry_, "ckptd_checkpoint_bytes", "Bytes of committed checkpoints")),
      open_saves(Gauge(*registry_, "ckptd_open_saves", "Saves decided and not yet ended")),
      staged_bytes(Gauge(*registry_, "ckptd_staged_bytes", "Bytes of uploads on their way")),
      free_bytes(Gauge(*registry_, "ckptd_free_bytes", "Free bytes of the data file system")) {}

Metrics::~Metrics() = default;

std::string Metrics::Render() {
  if (sample_) sample_(*this);
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace ckpt::server
