#include "client/cpp/src/hand_over.h"

#include <utility>

#include "client/cpp/src/grpc_sender.h"
#include "client/cpp/src/local_sender.h"

namespace ckpt::client {
namespace {

// More parts than these are for one save in shared memory would use up the slots of a trainer.
constexpr size_t kMaxSlots = 16;

}  // namespace

HandOver::HandOver(std::shared_ptr<grpc::Channel> bulk, std::string server, LocalOptions local)
    : uploads_(std::move(bulk)), server_(std::move(server)), link_(std::move(local)) {}

std::vector<std::unique_ptr<PartSender>> HandOver::Take(const v1::UploadStart& target,
                                                        std::vector<PartBytes> parts) {
  std::shared_ptr<LocalSnapshot> snapshot;
  if (link_.connection() != nullptr) snapshot = link_.TakeSnapshot();
  return Take(target, std::move(parts), snapshot, /*by_grpc_too=*/true);
}

std::vector<std::unique_ptr<PartSender>> HandOver::Share(const v1::UploadStart& target,
                                                         std::vector<PartBytes> parts) {
  return Take(target, std::move(parts), link_.TakeSnapshot(), /*by_grpc_too=*/false);
}

std::vector<std::unique_ptr<PartSender>> HandOver::Take(
    const v1::UploadStart& target, std::vector<PartBytes> parts,
    const std::shared_ptr<LocalSnapshot>& snapshot, bool by_grpc_too) {
  std::vector<std::unique_ptr<PartSender>> senders;
  for (PartBytes& part : parts) {
    v1::UploadStart start = target;
    start.set_part(part.part);
    start.set_part_count(static_cast<int32_t>(parts.size()));
    start.set_size(static_cast<int64_t>(part.bytes.size()));
    const size_t place = senders.size();
    LocalSlot* slot = snapshot != nullptr && place < kMaxSlots
                          ? link_.Fill(*snapshot, place, part.bytes)
                          : nullptr;
    if (slot != nullptr) {
      // The sender holds the snapshot. gRPC must not: it may let go of it later than the link ends.
      senders.push_back(std::make_unique<LocalSender>(
          link_, start, snapshot, *slot,
          by_grpc_too ? ByGrpc(start, slot->content(), nullptr) : nullptr));
      continue;
    }
    // A stage is waited for.
    if (part.owner == nullptr && target.has_save()) part = copies_.Copy(part.part, part.bytes);
    senders.push_back(ByGrpc(std::move(start), part.bytes, std::move(part.owner)));
  }
  return senders;
}

std::unique_ptr<PartSender> HandOver::ByGrpc(v1::UploadStart start, std::string_view bytes,
                                             std::shared_ptr<const void> owner) {
  return std::make_unique<GrpcSender>(uploads_, server_, std::move(start), bytes, std::move(owner));
}

}  // namespace ckpt::client
