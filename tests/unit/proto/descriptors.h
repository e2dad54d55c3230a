// The contract as protoc read it at build time, with its comments.
#pragma once

#include <google/protobuf/descriptor.h>

#include <vector>

namespace ckpt {

// The files of package ckpt.v1, which live as long as the process. Fails the running test if there
// are none.
const std::vector<const google::protobuf::FileDescriptor*>& ContractFiles();

}  // namespace ckpt
