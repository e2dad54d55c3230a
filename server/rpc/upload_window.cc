#include "server/rpc/upload_window.h"

#include <algorithm>

namespace ckpt::server {

void UploadWindow::Begin(int64_t offset) {
  offset_ += offset;
  end_ += offset;
}

int UploadWindow::MoveTo(int64_t offset) {
  const int before = held();
  offset_ = offset;
  end_ = std::max(end_, offset_);
  return before - held();
}

int UploadWindow::Close() {
  const int before = held();
  end_ = offset_;
  return before;
}

}  // namespace ckpt::server
