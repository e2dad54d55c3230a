// Every part of the contract is documented and named by the rules.

#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <functional>
#include <string>

#include "tests/unit/proto/descriptors.h"

namespace ckpt {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FileDescriptor;

template <typename T>
void ExpectComment(const T& element) {
  google::protobuf::SourceLocation location;
  const bool found = element.GetSourceLocation(&location);
  EXPECT_TRUE(found && !location.leading_comments.empty())
      << element.full_name() << " has no comment before it";
}

void ForEachMessage(const Descriptor& message, const std::function<void(const Descriptor&)>& each) {
  if (message.options().map_entry()) return;
  each(message);
  for (int i = 0; i < message.nested_type_count(); ++i)
    ForEachMessage(*message.nested_type(i), each);
}

void ForEachMessage(const std::function<void(const Descriptor&)>& each) {
  for (const FileDescriptor* file : ContractFiles()) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      ForEachMessage(*file->message_type(i), each);
    }
  }
}

void ForEachEnum(const std::function<void(const EnumDescriptor&)>& each) {
  for (const FileDescriptor* file : ContractFiles()) {
    for (int i = 0; i < file->enum_type_count(); ++i) each(*file->enum_type(i));
  }
  ForEachMessage([&](const Descriptor& message) {
    for (int i = 0; i < message.enum_type_count(); ++i) each(*message.enum_type(i));
  });
}

// "SaveOutcome" becomes "SAVE_OUTCOME_".
std::string Prefix(const std::string& name) {
  std::string prefix;
  for (const char c : name) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0 && !prefix.empty()) prefix.push_back('_');
    prefix.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  }
  return prefix + "_";
}

TEST(ContractTest, MessagesAndFieldsHaveComments) {
  ForEachMessage([](const Descriptor& message) {
    ExpectComment(message);
    for (int i = 0; i < message.field_count(); ++i) ExpectComment(*message.field(i));
    for (int i = 0; i < message.real_oneof_decl_count(); ++i) {
      ExpectComment(*message.oneof_decl(i));
    }
  });
}

TEST(ContractTest, EnumsAndTheirValuesHaveComments) {
  ForEachEnum([](const EnumDescriptor& type) {
    ExpectComment(type);
    for (int i = 0; i < type.value_count(); ++i) ExpectComment(*type.value(i));
  });
}

TEST(ContractTest, ServicesAndTheirCallsHaveComments) {
  int calls = 0;
  for (const FileDescriptor* file : ContractFiles()) {
    for (int i = 0; i < file->service_count(); ++i) {
      ExpectComment(*file->service(i));
      for (int j = 0; j < file->service(i)->method_count(); ++j, ++calls) {
        ExpectComment(*file->service(i)->method(j));
      }
    }
  }
  EXPECT_GT(calls, 0);
}

TEST(ContractTest, EnumValuesBearTheNameOfTheirEnum) {
  ForEachEnum([](const EnumDescriptor& type) {
    const std::string prefix = Prefix(type.name());
    for (int i = 0; i < type.value_count(); ++i) {
      EXPECT_TRUE(type.value(i)->name().starts_with(prefix)) << type.value(i)->full_name();
    }
    ASSERT_NE(type.FindValueByNumber(0), nullptr) << type.full_name();
    EXPECT_EQ(type.FindValueByNumber(0)->name(), prefix + "UNSPECIFIED");
  });
}

TEST(ContractTest, ThePackageIsTheFolder) {
  for (const FileDescriptor* file : ContractFiles()) {
    std::string folder = file->name().substr(0, file->name().rfind('/'));
    std::replace(folder.begin(), folder.end(), '/', '.');
    EXPECT_EQ(file->package(), folder) << file->name();
  }
}

}  // namespace
}  // namespace ckpt
