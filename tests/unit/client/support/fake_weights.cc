#include <fmt/format.h>

#include "storage/base/digest.h"
#include "storage/base/errors.h"
#include "tests/unit/client/support/fake_services.h"

namespace ckpt::testing {
namespace {

constexpr int64_t kDownloadChunk = 1000;

absl::Status TakeFirst(std::vector<absl::Status>& scripted) {
  if (scripted.empty()) return absl::OkStatus();
  absl::Status first = scripted.front();
  scripted.erase(scripted.begin());
  return first;
}

}  // namespace

bool FakeDaemon::Weights::Cut() {
  if (++messages_ != daemon_.script.cut_upload_at) return false;
  ++daemon_.cuts;
  return true;
}

absl::StatusOr<std::string*> FakeDaemon::Weights::Staging(const v1::UploadStart& start) {
  if (!daemon_.script.upload_error.ok()) return daemon_.script.upload_error;
  if (start.has_staged()) {
    return &daemon_.staged[fmt::format("{}/{}", start.staged().stage_id(), start.part())];
  }
  if (!daemon_.open_saves.contains(start.save())) return SaveNotOpen(start.save(), "it is over");
  return &parts_[start.save()][start.part()];
}

absl::Status FakeDaemon::Weights::TakeChunk(const v1::UploadChunk& chunk, std::string& content) {
  if (absl::Status scripted = TakeFirst(daemon_.script.chunk_errors); !scripted.ok())
    return scripted;
  if (chunk.crc32c() != Crc32c(chunk.data())) return ChunkCorrupt(chunk.offset());
  if (chunk.offset() != static_cast<int64_t>(content.size())) {
    return OffsetMismatch(static_cast<int64_t>(content.size()), chunk.offset());
  }
  content += chunk.data();
  return absl::OkStatus();
}

absl::StatusOr<v1::UploadFinished> FakeDaemon::Weights::Finish(const v1::UploadStart& start,
                                                               const v1::UploadFinish& finish,
                                                               std::string& content) {
  if (absl::Status scripted = TakeFirst(daemon_.script.finish_errors); !scripted.ok()) {
    if (ReasonOf(scripted) == v1::ERROR_REASON_DIGEST_MISMATCH) content.clear();
    return scripted;
  }
  StreamDigest digest;
  digest.Update(content);
  if (digest.size() != finish.size())
    return SizeMismatch(start.part(), finish.size(), digest.size());
  if (digest.Whole() != finish.xxh3_128()) return DigestMismatch(start.part(), "", "");
  v1::UploadFinished finished;
  if (start.has_staged()) return finished;
  finished_[fmt::format("{}/{}", start.save(), start.part())] = digest.Whole();
  v1::Checkpoint save = daemon_.open_saves[start.save()];
  int done = 0;
  for (const auto& [part, bytes] : parts_[start.save()]) {
    done += finished_.contains(fmt::format("{}/{}", start.save(), part)) ? 1 : 0;
  }
  if (done == start.part_count()) {
    save.set_state(daemon_.script.answer_saving ? v1::Checkpoint::STATE_SAVING
                                                : v1::Checkpoint::STATE_COMMITTED);
    daemon_.contents[save.name()] = parts_[start.save()];
    daemon_.open_saves.erase(save.name());
    if (!daemon_.script.answer_saving) daemon_.checkpoints[save.name()] = save;
  }
  *finished.mutable_checkpoint() = save;
  return finished;
}

int64_t FakeDaemon::Weights::NextWindow(const std::string& content) const {
  const int64_t bytes = daemon_.script.upload_window;
  return bytes == 0 ? 0 : static_cast<int64_t>(content.size()) + bytes;
}

grpc::Status FakeDaemon::Weights::Upload(
    grpc::ServerContext* /*context*/,
    grpc::ServerReaderWriter<v1::UploadResponse, v1::UploadRequest>* stream) {
  const grpc::Status cut(grpc::StatusCode::UNAVAILABLE, "cut by the test");
  v1::UploadRequest request;
  v1::UploadStart start;
  std::string* content = nullptr;
  int64_t window_end = 0;
  while (stream->Read(&request)) {
    std::lock_guard lock(daemon_.mutex_);
    if (Cut()) return cut;
    v1::UploadResponse response;
    if (request.has_start()) {
      ++daemon_.uploads;
      start = request.start();
      const auto committed = daemon_.checkpoints.find(start.save());
      if (committed != daemon_.checkpoints.end()) {
        *response.mutable_finished()->mutable_checkpoint() = committed->second;
      } else {
        const auto staging = Staging(start);
        if (!staging.ok()) return ToGrpc(staging.status());
        content = *staging;
        response.mutable_started()->set_offset(static_cast<int64_t>(content->size()));
        response.mutable_started()->set_max_chunk_bytes(kDownloadChunk);
        window_end = NextWindow(*content);
        response.mutable_started()->set_window_end(window_end);
      }
    } else if (request.has_chunk()) {
      const absl::Status taken = TakeChunk(request.chunk(), *content);
      if (!taken.ok()) return ToGrpc(taken);
      const auto size = static_cast<int64_t>(content->size());
      if (window_end > 0 && size > window_end)
        return ToGrpc(ProtocolViolation("it was not to be sent yet"));
      if (size != window_end) continue;
      window_end = NextWindow(*content);
      response.mutable_progress()->set_window_end(window_end);
    } else {
      const auto finished = Finish(start, request.finish(), *content);
      if (!finished.ok()) return ToGrpc(finished.status());
      *response.mutable_finished() = *finished;
    }
    if (Cut()) return cut;
    stream->Write(response);
    if (response.has_finished()) return grpc::Status::OK;
  }
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Weights::Download(grpc::ServerContext* /*context*/,
                                           const v1::DownloadRequest* request,
                                           grpc::ServerWriter<v1::DownloadResponse>* writer) {
  std::lock_guard lock(daemon_.mutex_);
  const auto found = daemon_.contents.find(request->checkpoint());
  if (found == daemon_.contents.end()) return ToGrpc(CheckpointNotFound(request->checkpoint()));
  std::string content = found->second[request->part()];
  if (daemon_.script.damage_stored && !content.empty()) content.back() ^= 1;
  v1::DownloadResponse response;
  response.mutable_header()->mutable_checkpoint()->set_name(request->checkpoint());
  writer->Write(response);
  for (size_t at = static_cast<size_t>(request->offset()); at < content.size();
       at += kDownloadChunk) {
    if (++download_messages_ == daemon_.script.cut_download_at) {
      return {grpc::StatusCode::UNAVAILABLE, "cut by the test"};
    }
    v1::UploadChunk* chunk = response.mutable_chunk();
    chunk->set_offset(static_cast<int64_t>(at));
    chunk->set_data(content.substr(at, kDownloadChunk));
    chunk->set_crc32c(Crc32c(chunk->data()));
    if (daemon_.script.damage_download_on_wire) chunk->mutable_data()->back() ^= 1;
    writer->Write(response);
  }
  return grpc::Status::OK;
}

grpc::Status FakeDaemon::Weights::DiscardStaged(grpc::ServerContext* /*context*/,
                                                const v1::DiscardStagedRequest* request,
                                                v1::DiscardStagedResponse* /*response*/) {
  std::lock_guard lock(daemon_.mutex_);
  daemon_.deleted.push_back(request->staged().stage_id());
  return grpc::Status::OK;
}

}  // namespace ckpt::testing
