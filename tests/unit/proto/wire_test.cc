// The wire format is a promise: numbers, types and names may be added, never changed.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "tests/unit/proto/descriptors.h"

namespace ckpt {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::ServiceDescriptor;

using Lines = std::set<std::string>;

std::string TypeName(const FieldDescriptor& field) {
  if (field.type() == FieldDescriptor::TYPE_MESSAGE) return field.message_type()->full_name();
  if (field.type() == FieldDescriptor::TYPE_ENUM) return field.enum_type()->full_name();
  return field.type_name();
}

std::string Line(const FieldDescriptor& field) {
  std::string label;
  if (field.is_repeated()) label = "repeated ";
  if (field.real_containing_oneof() != nullptr) {
    label = "oneof " + field.real_containing_oneof()->name() + " ";
  } else if (field.has_optional_keyword()) {
    label = "optional ";
  }
  return "field " + field.full_name() + " = " + std::to_string(field.number()) + " " + label +
         TypeName(field);
}

void Add(const EnumDescriptor& type, Lines& lines) {
  for (int i = 0; i < type.value_count(); ++i) {
    lines.insert("value " + type.full_name() + "." + type.value(i)->name() + " = " +
                 std::to_string(type.value(i)->number()));
  }
}

void Add(const Descriptor& message, Lines& lines) {
  lines.insert("message " + message.full_name());
  for (int i = 0; i < message.field_count(); ++i) lines.insert(Line(*message.field(i)));
  for (int i = 0; i < message.enum_type_count(); ++i) Add(*message.enum_type(i), lines);
  for (int i = 0; i < message.nested_type_count(); ++i) Add(*message.nested_type(i), lines);
}

void Add(const ServiceDescriptor& service, Lines& lines) {
  for (int i = 0; i < service.method_count(); ++i) {
    const auto& method = *service.method(i);
    lines.insert("rpc " + method.full_name() + "(" + (method.client_streaming() ? "stream " : "") +
                 method.input_type()->full_name() + ") returns (" +
                 (method.server_streaming() ? "stream " : "") + method.output_type()->full_name() +
                 ")");
  }
}

Lines Actual() {
  Lines lines;
  for (const FileDescriptor* file : ContractFiles()) {
    for (int i = 0; i < file->message_type_count(); ++i) Add(*file->message_type(i), lines);
    for (int i = 0; i < file->enum_type_count(); ++i) Add(*file->enum_type(i), lines);
    for (int i = 0; i < file->service_count(); ++i) Add(*file->service(i), lines);
  }
  return lines;
}

Lines ReadLines(const std::string& path) {
  Lines lines;
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << path;
  for (std::string line; std::getline(file, line);) lines.insert(line);
  return lines;
}

std::string Missing(const Lines& from, const Lines& in) {
  std::string text;
  Lines missing;
  std::set_difference(in.begin(), in.end(), from.begin(), from.end(),
                      std::inserter(missing, missing.end()));
  for (const std::string& line : missing) text += "\n  " + line;
  return text;
}

TEST(WireTest, IsAsCommitted) {
  const Lines committed = ReadLines(CKPT_WIRE_GOLDEN);
  const Lines actual = Actual();
  std::ofstream(CKPT_WIRE_ACTUAL) << [&] {
    std::string text;
    for (const std::string& line : actual) text += line + "\n";
    return text;
  }();
  EXPECT_EQ(Missing(actual, committed), "") << "gone or changed: old clients and stored data break";
  EXPECT_EQ(Missing(committed, actual), "")
      << "new: if it is meant, cp " << CKPT_WIRE_ACTUAL << " " << CKPT_WIRE_GOLDEN;
}

}  // namespace
}  // namespace ckpt
