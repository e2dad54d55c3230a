#include "server/local/submitter.h"

#include <optional>
#include <utility>

#include "storage/base/digest.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

absl::Status CheckFits(const Submission& submission) {
  if (submission.start.offset() != 0) {
    return FieldInvalid("start.offset", std::to_string(submission.start.offset()), "it must be 0");
  }
  if (submission.start.size() != submission.content->size()) {
    return FieldInvalid("start.size", std::to_string(submission.start.size()),
                        "it must be that of the content");
  }
  if (!submission.xxh3_128.empty() && submission.xxh3_128.size() != 16) {
    return FieldInvalid("xxh3_128", Hex(submission.xxh3_128), "it must be 16 bytes or none");
  }
  return absl::OkStatus();
}

}  // namespace

struct Submitter::Job {
  Submission submission;
  storage::PartTarget target;
  Done done;
  std::shared_ptr<RunActor> run;  // of a save; null for a stage
  std::optional<ByteGrant> turn;
};

void Submitter::Submit(Submission submission, Done done) {
  if (absl::Status status = CheckFits(submission); !status.ok()) return done(std::move(status));
  auto target = ReadUploadTarget(submission.start, context_.limits);
  if (!target.ok()) return done(target.status());
  auto job = std::make_shared<Job>(
      Job{std::move(submission), *std::move(target), std::move(done), nullptr, std::nullopt});
  Count(+1, 0);
  context_.executors.PostDisk([this, job = std::move(job)] { Open(job); });
}

void Submitter::Open(std::shared_ptr<Job> job) {
  OpenUploadTarget(
      context_.store, context_.runs, job->target,
      [this, job](absl::StatusOr<UploadTarget> opened) { Opened(job, std::move(opened)); });
}

void Submitter::Opened(const std::shared_ptr<Job>& job, absl::StatusOr<UploadTarget> opened) {
  const bool wanted = opened.ok() && !opened->finished.has_value();
  if (wanted && opened->snapshot) return Hold(job, opened->run);
  Count(-1, wanted ? +1 : 0);
  // Let go before the answer: the trainer may use the memory for something else then.
  if (!wanted) job->submission.content.reset();
  if (!opened.ok()) return job->done(opened.status());
  if (opened->finished.has_value()) return job->done(*opened->finished);
  job->run = std::move(opened->run);
  AwaitTurn(job);
}

// The run hears of it before the save counts as opened: a daemon that ends closes the run after
// that, and persists what it holds.
void Submitter::Hold(const std::shared_ptr<Job>& job, const std::shared_ptr<RunActor>& run) {
  if (!job->submission.in_slot) {
    job->submission.content.reset();
    Count(-1, 0);
    return job->done(SharedMemoryRequired("what is handed over in a file"));
  }
  v1::UploadFinished held;
  held.mutable_part()->set_part(job->target.part);
  held.mutable_part()->set_size(job->submission.content->size());
  run->HoldPart(
      job->target.save, job->target.part, job->target.part_count,
      [this, job](std::shared_ptr<RunActor> holder) { Persist(job, std::move(holder)); },
      [done = std::move(job->done),
       held = std::move(held)](absl::StatusOr<v1::Checkpoint> save) mutable {
        if (!save.ok()) return done(save.status());
        *held.mutable_checkpoint() = *std::move(save);
        done(std::move(held));
      });
  Count(-1, 0);
}

void Submitter::Persist(const std::shared_ptr<Job>& job, std::shared_ptr<RunActor> run) {
  job->run = run;
  job->done = [run = std::move(run),
               save = job->target.save](const absl::StatusOr<v1::UploadFinished>& finished) {
    if (!finished.ok()) run->PersistFailed(save, finished.status());
  };
  Count(0, +1);
  AwaitTurn(job);
}

void Submitter::Count(int opening, int unstored) {
  const std::lock_guard lock(mutex_);
  opening_ += opening;
  unstored_ += unstored;
  fewer_.notify_all();
}

void Submitter::AwaitOpened() {
  std::unique_lock lock(mutex_);
  fewer_.wait(lock, [this] { return opening_ == 0; });
}

void Submitter::Finish(std::chrono::system_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  fewer_.wait_until(lock, deadline, [this] { return opening_ == 0 && unstored_ == 0; });
  stopped_ = true;
}

void Submitter::AwaitTurn(std::shared_ptr<Job> job) {
  turns_.Acquire(1, [this, job = std::move(job)] {
    job->turn.emplace(turns_, 1);
    context_.executors.PostDisk([this, job] { Store(job); });
  });
}

void Submitter::Store(const std::shared_ptr<Job>& job) {
  absl::StatusOr<v1::Part> part = Write(*job);
  job->submission.content.reset();
  job->turn.reset();
  Count(0, -1);
  if (!part.ok()) {
    context_.metrics.failed_parts.Add();
    return job->done(part.status());
  }
  v1::UploadFinished finished;
  *finished.mutable_part() = *std::move(part);
  if (job->run == nullptr) return job->done(std::move(finished));
  job->run->FinishPart(job->target.save, [job, finished = std::move(finished)](
                                             absl::StatusOr<v1::Checkpoint> save) mutable {
    if (!save.ok()) return job->done(save.status());
    *finished.mutable_checkpoint() = *std::move(save);
    job->done(std::move(finished));
  });
}

absl::StatusOr<v1::Part> Submitter::Write(Job& job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return Draining();
  }
  auto writer = context_.store.OpenPart(job.target);
  if (!writer.ok()) return writer.status();
  const storage::Spawn spawn = [this](absl::AnyInvocable<void()> task) {
    context_.executors.PostHelper(std::move(task));
  };
  auto part = (*writer)->Store(*job.submission.content, job.submission.xxh3_128, spawn);
  if (!part.ok()) return part;
  context_.metrics.local_bytes.Add(static_cast<double>(part->size()));
  if (const auto mode = (*writer)->write_mode()) {
    (*mode == storage::WriteMode::kDirect ? context_.metrics.direct_parts
                                          : context_.metrics.paced_parts)
        .Add();
  }
  return part;
}

}  // namespace ckpt::server
