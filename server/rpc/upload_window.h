// How far the sender of an upload may go, by the memory that its stream holds.
#pragma once

#include <cstdint>

namespace ckpt::server {

// Each grant of the upload budget, of one chunk, is a promise to the sender: that many bytes more.
// It is held until the bytes have come and been dealt with, so that what was promised never exceeds
// what is held. Senders need not keep to it. Not thread-safe.
class UploadWindow {
 public:
  explicit UploadWindow(int64_t chunk_bytes) : chunk_bytes_(chunk_bytes) {}

  // One grant more.
  void Extend() { end_ += chunk_bytes_; }
  // The upload begins at `offset`; what is held counts from there. Once.
  void Begin(int64_t offset);
  // The bytes below `offset`, which never falls, have been dealt with. Gives the number of grants
  // that are no longer needed.
  int MoveTo(int64_t offset);
  // Nothing more will come. Gives the number of grants that were held.
  int Close();

  // Where the promised bytes end; never falls, but by Close.
  int64_t end() const { return end_; }
  // Grants in hand.
  int held() const { return static_cast<int>((end_ - offset_ + chunk_bytes_ - 1) / chunk_bytes_); }

 private:
  int64_t chunk_bytes_;
  int64_t offset_ = 0;
  int64_t end_ = 0;
};

}  // namespace ckpt::server
