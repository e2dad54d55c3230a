#include "client/ckptctl/row_writer.h"

#include <algorithm>
#include <utility>

#include "client/ckptctl/text.h"

namespace ckpt::ctl {
namespace {

constexpr size_t kRowsHeld = 1000;
constexpr char kGap[] = "  ";

class TableWriter final : public RowWriter {
 public:
  TableWriter(std::ostream& out, std::vector<std::string> headers)
      : out_(out), widths_(headers.size(), 0) {
    rows_.push_back(std::move(headers));
  }

  void Write(std::vector<std::string> cells) override {
    for (std::string& cell : cells) cell = Escaped(cell);
    rows_.push_back(std::move(cells));
    if (rows_.size() == kRowsHeld) Finish();
  }

  void Finish() override {
    for (const auto& row : rows_) {
      for (size_t i = 0; i < row.size(); ++i) {
        widths_[i] = std::max(widths_[i], DisplayWidth(row[i]));
      }
    }
    for (const auto& row : rows_) WriteAligned(row);
    rows_.clear();
    out_.flush();
  }

 private:
  void WriteAligned(const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      line.append(widths_[i] - DisplayWidth(row[i]), ' ');
      line += kGap;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out_ << line << '\n';
  }

  std::ostream& out_;
  std::vector<size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

class CsvWriter final : public RowWriter {
 public:
  CsvWriter(std::ostream& out, const std::vector<std::string>& headers) : out_(out) {
    WriteLine(headers);
  }

  void Write(std::vector<std::string> cells) override { WriteLine(cells); }
  void Finish() override { out_.flush(); }

 private:
  void WriteLine(const std::vector<std::string>& cells) {
    for (size_t i = 0; i < cells.size(); ++i) {
      if (i > 0) out_ << ',';
      WriteCell(cells[i]);
    }
    out_ << '\n';
  }

  void WriteCell(const std::string& cell) {
    if (cell.find_first_of(",\"\r\n") == std::string::npos) {
      out_ << cell;
      return;
    }
    out_ << '"';
    for (const char c : cell) {
      if (c == '"') out_ << '"';
      out_ << c;
    }
    out_ << '"';
  }

  std::ostream& out_;
};

}  // namespace

std::unique_ptr<RowWriter> MakeTableWriter(std::ostream& out, std::vector<std::string> headers) {
  return std::make_unique<TableWriter>(out, std::move(headers));
}

std::unique_ptr<RowWriter> MakeCsvWriter(std::ostream& out, std::vector<std::string> headers) {
  return std::make_unique<CsvWriter>(out, headers);
}

}  // namespace ckpt::ctl
