// What ckptd counts, in Prometheus' terms.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
class Registry;
}  // namespace prometheus

namespace ckpt::server {

// Thread-safe handles on one time series each; as cheap as an atomic add.
class MetricCounter {
 public:
  explicit MetricCounter(prometheus::Counter& counter) : counter_(counter) {}
  void Add(double amount = 1);
  double Value() const;

 private:
  prometheus::Counter& counter_;
};

class MetricGauge {
 public:
  explicit MetricGauge(prometheus::Gauge& gauge) : gauge_(gauge) {}
  void Set(double value);
  void Add(double amount);
  double Value() const;

 private:
  prometheus::Gauge& gauge_;
};

class MetricTimer {
 public:
  class Timing {
   public:
    explicit Timing(prometheus::Histogram& histogram)
        : histogram_(&histogram), start_(std::chrono::steady_clock::now()) {}
    // Records the seconds since Start.
    void Stop() const;

   private:
    prometheus::Histogram* histogram_;
    std::chrono::steady_clock::time_point start_;
  };

  explicit MetricTimer(prometheus::Histogram& histogram) : histogram_(histogram) {}
  Timing Start() const { return Timing(histogram_); }

 private:
  prometheus::Histogram& histogram_;
};

// Every metric of the daemon. Names and help texts are in the .cc file.
class Metrics {
 private:
  std::shared_ptr<prometheus::Registry> registry_;

 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  MetricCounter events;
  MetricCounter decisions_save;
  MetricCounter decisions_skip;
  MetricCounter decisions_error;
  MetricCounter saves_committed;
  MetricCounter saves_failed;
  MetricCounter upload_bytes;
  MetricCounter local_bytes;
  MetricCounter direct_parts;
  MetricCounter paced_parts;
  MetricCounter failed_parts;  // handed over in shared memory
  MetricCounter download_bytes;
  MetricCounter scrub_bytes;
  MetricTimer commit_seconds;  // from the last part's end to the answer
  MetricTimer index_seconds;   // one synced index batch
  MetricGauge index_queue;
  MetricGauge upload_memory;  // bytes of upload chunks in memory
  MetricGauge trainers;
  MetricGauge damaged_parts;
  // Set by whoever renders, see SetSampler.
  MetricGauge slots;
  MetricGauge slot_memory;
  MetricGauge runs;
  MetricGauge checkpoints;
  MetricGauge checkpoint_bytes;
  MetricGauge open_saves;
  MetricGauge staged_bytes;
  MetricGauge free_bytes;

  // `sample` brings the sampled gauges up to date; called before each rendering, on its thread.
  void SetSampler(std::function<void(Metrics&)> sample) { sample_ = std::move(sample); }
  // The Prometheus text format. May block on the sampler.
  std::string Render();

 private:
  std::function<void(Metrics&)> sample_;
};

}  // namespace ckpt::server
