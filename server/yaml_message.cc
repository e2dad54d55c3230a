#include "server/yaml_message.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/struct.pb.h"
#include "storage/base/errors.h"

namespace ckpt::server {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

absl::Status Bad(std::string_view source, const YAML::Node& node, std::string_view what) {
  return MakeError(
      v1::ERROR_REASON_FIELD_INVALID, fmt::format("{}:{}: {}", source, node.Mark().line + 1, what),
      {{"source", std::string(source)}, {"line", std::to_string(node.Mark().line + 1)}});
}

// The line, from 1, at which a second document begins; 0 if there is none.
int SecondDocumentLine(std::string_view text) {
  bool begun = false;
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const size_t first = line.find_first_not_of(" \t\r");
    const bool marker = line.starts_with("---") && line.find_first_not_of(" \t\r", 3) != 3;
    if (marker && begun) return number;
    if (marker || (first != std::string_view::npos && line[first] != '#' && line[0] != '%')) {
      begun = true;
    }
  }
  return 0;
}

// Letters to change, add or drop to make one word the other.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string_view NearestField(const Descriptor& type, std::string_view key) {
  std::string_view nearest;
  size_t least = std::string_view::npos;
  for (int i = 0; i < type.field_count(); ++i) {
    const size_t distance = EditDistance(key, type.field(i)->name());
    if (distance < least) {
      least = distance;
      nearest = type.field(i)->name();
    }
  }
  return nearest;
}

class Reader {
 public:
  explicit Reader(std::string_view source) : source_(source) {}

  absl::Status ReadMessage(const YAML::Node& node, Message* message) const {
    if (node.IsNull()) return absl::OkStatus();
    if (!node.IsMap()) return Bad(source_, node, "here must be a block of 'key: value'");
    const Descriptor& type = *message->GetDescriptor();
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const auto key = entry.first.as<std::string>("");
      const FieldDescriptor* field = type.FindFieldByName(key);
      if (field == nullptr) {
        return Bad(
            source_, entry.first,
            fmt::format("unknown key '{}'; did you mean '{}'?", key, NearestField(type, key)));
      }
      if (!seen.insert(key).second) {
        return Bad(source_, entry.first, fmt::format("key '{}' is given twice", key));
      }
      if (absl::Status status = ReadField(entry.second, *field, message); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Status ReadField(const YAML::Node& node, const FieldDescriptor& field,
                         Message* message) const {
    if (!field.is_repeated()) return ReadValue(node, field, message);
    if (node.IsNull()) return absl::OkStatus();
    if (!node.IsSequence()) {
      return Bad(source_, node, fmt::format("'{}' must be a list", field.name()));
    }
    for (const YAML::Node& item : node) {
      if (absl::Status status = ReadValue(item, field, message); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ReadValue(const YAML::Node& node, const FieldDescriptor& field,
                         Message* message) const {
    const Reflection& reflection = *message->GetReflection();
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Message* child = field.is_repeated() ? reflection.AddMessage(message, &field)
                                           : reflection.MutableMessage(message, &field);
      if (auto* value = dynamic_cast<google::protobuf::Value*>(child)) {
        return ReadAny(node, value);
      }
      return ReadMessage(node, child);
    }
    if (!node.IsScalar()) {
      return Bad(source_, node, fmt::format("'{}' must be a single value", field.name()));
    }
    try {
      return ReadScalar(node, field, reflection, message);
    } catch (const YAML::Exception&) {
      return Bad(source_, node,
                 fmt::format("'{}' cannot be '{}': it must be {}", field.name(), node.Scalar(),
                             field.cpp_type_name()));
    }
  }

  absl::Status ReadScalar(const YAML::Node& node, const FieldDescriptor& field,
                          const Reflection& reflection, Message* message) const {
    const auto put = [&](auto set, auto add, auto value) {
      field.is_repeated() ? (reflection.*add)(message, &field, value)
                          : (reflection.*set)(message, &field, value);
    };
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        put(&Reflection::SetString, &Reflection::AddString, node.as<std::string>());
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        put(&Reflection::SetBool, &Reflection::AddBool, node.as<bool>());
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        put(&Reflection::SetInt32, &Reflection::AddInt32, node.as<int32_t>());
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        put(&Reflection::SetInt64, &Reflection::AddInt64, node.as<int64_t>());
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        put(&Reflection::SetDouble, &Reflection::AddDouble, node.as<double>());
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        return ReadEnum(node, field, reflection, message);
      default:
        return Internal(fmt::format("no YAML for {}", field.full_name()));
    }
    return absl::OkStatus();
  }

  absl::Status ReadEnum(const YAML::Node& node, const FieldDescriptor& field,
                        const Reflection& reflection, Message* message) const {
    const auto* value = field.enum_type()->FindValueByName(node.Scalar());
    if (value == nullptr) {
      std::vector<std::string_view> names;
      for (int i = 0; i < field.enum_type()->value_count(); ++i) {
        names.push_back(field.enum_type()->value(i)->name());
      }
      return Bad(source_, node,
                 fmt::format("'{}' cannot be '{}': it must be one of {}", field.name(),
                             node.Scalar(), fmt::join(names, ", ")));
    }
    reflection.SetEnum(message, &field, value);
    return absl::OkStatus();
  }

  // YAML has no types but what a scalar looks like; quotes make it text.
  absl::Status ReadAny(const YAML::Node& node, google::protobuf::Value* value) const {
    if (node.IsNull()) {
      value->set_null_value(google::protobuf::NULL_VALUE);
    } else if (!node.IsScalar()) {
      return Bad(source_, node, "here must be a single value");
    } else if (double number = 0;
               node.Tag() != "!" && YAML::convert<double>::decode(node, number)) {
      value->set_number_value(number);
    } else if (bool flag = false; node.Tag() != "!" && YAML::convert<bool>::decode(node, flag)) {
      value->set_bool_value(flag);
    } else {
      value->set_string_value(node.Scalar());
    }
    return absl::OkStatus();
  }

  std::string_view source_;
};

}  // namespace

absl::Status ParseYaml(std::string_view text, std::string_view source, Message* message) {
  try {
    // Asked before: YAML::LoadAll finds documents without end after a stray bracket, and YAML::Load
    // does not look beyond the first.
    if (const int line = SecondDocumentLine(text); line > 0) {
      return MakeError(v1::ERROR_REASON_FIELD_INVALID,
                       fmt::format("{}:{}: one document is enough; remove '---'", source, line),
                       {{"source", std::string(source)}, {"line", std::to_string(line)}});
    }
    return Reader(source).ReadMessage(YAML::Load(std::string(text)), message);
  } catch (const YAML::Exception& error) {
    return MakeError(v1::ERROR_REASON_FIELD_INVALID,
                     fmt::format("{}:{}: {}", source, error.mark.line + 1, error.msg),
                     {{"source", std::string(source)}});
  }
}

}  // namespace ckpt::server
