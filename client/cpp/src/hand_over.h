// Chooses how the parts of a save get to the daemon.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/generic/generic_stub.h>

#include <memory>
#include <string>
#include <vector>

#include "ckpt/run.h"
#include "ckpt/v1/weight_service.pb.h"
#include "client/cpp/src/copy_pool.h"
#include "client/cpp/src/local_link.h"
#include "client/cpp/src/part_sender.h"

namespace ckpt::client {

// In shared memory where the daemon is on this host and has room, else by gRPC. Take and Share are
// for one thread at a time, OnWelcome for any. The senders do not outlive this.
class HandOver {
 public:
  // `bulk`: the channel for uploads to `server`.
  HandOver(std::shared_ptr<grpc::Channel> bulk, std::string server, LocalOptions local);

  void OnWelcome(const v1::Welcome& welcome) { link_.OnWelcome(welcome); }
  // Whether there is shared memory, as far as is known: the daemon may refuse it yet.
  bool shares_memory() { return link_.connection() != nullptr; }

  // Takes the bytes: once this has returned, parts without an owner may change, and those in shared
  // memory are the daemon's. `target` names the save or stage.
  std::vector<std::unique_ptr<PartSender>> Take(const v1::UploadStart& target,
                                                std::vector<PartBytes> parts);
  // As Take, of a snapshot that stays in memory. A daemon that is gone, or whose socket is, is
  // waited for: by gRPC go only parts that there is no memory or slot for, and are refused.
  std::vector<std::unique_ptr<PartSender>> Share(const v1::UploadStart& target,
                                                 std::vector<PartBytes> parts);

 private:
  std::vector<std::unique_ptr<PartSender>> Take(const v1::UploadStart& target,
                                                std::vector<PartBytes> parts,
                                                const std::shared_ptr<LocalSnapshot>& snapshot,
                                                bool by_grpc_too);
  std::unique_ptr<PartSender> ByGrpc(v1::UploadStart start, std::string_view bytes,
                                     std::shared_ptr<const void> owner);

  grpc::GenericStub uploads_;
  const std::string server_;
  LocalLink link_;
  CopyPool copies_;
};

}  // namespace ckpt::client
