#include "tests/unit/proto/descriptors.h"

#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <fstream>

namespace ckpt {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;

std::vector<const FileDescriptor*> Load() {
  google::protobuf::FileDescriptorSet set;
  std::ifstream file(CKPT_DESCRIPTOR_SET, std::ios::binary);
  EXPECT_TRUE(set.ParseFromIstream(&file)) << CKPT_DESCRIPTOR_SET;
  static auto& pool = *new DescriptorPool();
  std::vector<const FileDescriptor*> files;
  for (const google::protobuf::FileDescriptorProto& proto : set.file()) {
    const FileDescriptor* built = pool.BuildFile(proto);
    EXPECT_NE(built, nullptr) << proto.name();
    if (built != nullptr && proto.name().starts_with("ckpt/")) files.push_back(built);
  }
  EXPECT_FALSE(files.empty());
  return files;
}

}  // namespace

const std::vector<const FileDescriptor*>& ContractFiles() {
  static const auto& files = *new std::vector<const FileDescriptor*>(Load());
  return files;
}

}  // namespace ckpt
