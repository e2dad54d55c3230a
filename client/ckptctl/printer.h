// Resources in the format that was asked for.
#pragma once

#include <cctype>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "client/ckptctl/context.h"
#include "client/ckptctl/json.h"
#include "client/ckptctl/row_writer.h"

namespace ckpt::ctl {

// Whom a cell is for: people, or programs (exact numbers, bytes, full times).
enum class Reader { kPerson, kProgram };

template <typename Resource>
struct Column {
  std::string header;  // as in a table; lower case in CSV
  bool narrow;         // shown in the plain table too, not only in wide and CSV
  std::function<std::string(const Resource&, Reader)> cell;
};

// How a kind of resource is shown.
template <typename Resource>
struct View {
  std::vector<Column<Resource>> columns;
  std::function<std::string(const Resource&)> name;  // usable as an argument
};

// Prints a list as it comes; Finish ends it, unless an error has cut it short. JSON is one array
// with an element a line.
template <typename Resource>
class ListPrinter {
 public:
  ListPrinter(Format format, const View<Resource>& view, std::ostream& out)
      : format_(format), view_(view), out_(out) {}

  void Print(const Resource& resource) {
    Begin();
    if (format_ == Format::kName) {
      out_ << view_.name(resource) << '\n';
    } else if (format_ == Format::kJson) {
      out_ << (empty_ ? "\n" : ",\n") << ToJsonLine(resource);
    } else {
      const Reader reader = format_ == Format::kCsv ? Reader::kProgram : Reader::kPerson;
      std::vector<std::string> cells;
      for (const auto* column : shown_) cells.push_back(column->cell(resource, reader));
      rows_->Write(std::move(cells));
    }
    empty_ = false;
  }

  void Finish() {
    Begin();
    if (format_ == Format::kJson) out_ << (empty_ ? "]\n" : "\n]\n");
    if (rows_) rows_->Finish();
    out_.flush();
  }

 private:
  // Not before there is an answer: an error leaves standard output empty.
  void Begin() {
    if (std::exchange(begun_, true)) return;
    if (format_ == Format::kJson) {
      out_ << '[';
    } else if (format_ != Format::kName) {
      rows_ = MakeRows();
    }
  }

  std::unique_ptr<RowWriter> MakeRows() {
    std::vector<std::string> headers;
    for (const auto& column : view_.columns) {
      if (format_ == Format::kTable && !column.narrow) continue;
      shown_.push_back(&column);
      headers.push_back(column.header);
    }
    if (format_ != Format::kCsv) return MakeTableWriter(out_, std::move(headers));
    for (std::string& header : headers) {
      for (char& c : header) c = c == ' ' ? '_' : static_cast<char>(std::tolower(c));
    }
    return MakeCsvWriter(out_, std::move(headers));
  }

  const Format format_;
  const View<Resource>& view_;
  std::ostream& out_;
  std::vector<const Column<Resource>*> shown_;
  std::unique_ptr<RowWriter> rows_;
  bool begun_ = false;
  bool empty_ = true;
};

// One resource: JSON is the object itself, everything else a list of one.
template <typename Resource>
void PrintOne(Format format, const View<Resource>& view, const Resource& resource,
              std::ostream& out) {
  if (format == Format::kJson) {
    out << ToJsonText(resource);
    out.flush();
    return;
  }
  ListPrinter<Resource> printer(format, view, out);
  printer.Print(resource);
  printer.Finish();
}

}  // namespace ckpt::ctl
