#include "tests/unit/storage/testing/simulated_disk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "storage/fs/folders.h"

namespace ckpt::storage {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBlock = 512;  // what a disk writes whole or not at all
constexpr int kFileMode = 0640;
constexpr int kFolderMode = 0750;

bool Toss(std::mt19937_64& random) { return (random() & 1) != 0; }

// Lays bytes over `content`, which grows with zeros as far as needed.
void LayOver(std::string& content, size_t offset, std::string_view bytes) {
  if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size(), '\0');
  content.replace(offset, bytes.size(), bytes);
}

}  // namespace

// A file or folder, with what the disk has of it and, in order, the changes it has not.
struct SimulatedDisk::Node {
  struct Write {
    int64_t offset;                            // of the bytes; the new size when there are none
    std::shared_ptr<const std::string> bytes;  // null: a truncation
  };
  // Names that change in one step; a null node removes its name.
  struct NameChange {
    int64_t id = 0;
    std::vector<std::pair<std::string, NodePtr>> names;
    // Where a name went that this removes, and by which change: no disk loses both.
    NodePtr moved_to;
    int64_t moved_by = 0;
  };

  static void Apply(Names& names, const NameChange& change) {
    for (const auto& [name, node] : change.names) {
      if (node == nullptr) {
        names.erase(name);
      } else {
        names[name] = node;
      }
    }
  }

  bool IsUnsynced(int64_t change) const {
    return std::any_of(unsynced_names.begin(), unsynced_names.end(),
                       [&](const NameChange& each) { return each.id == change; });
  }

  Names NamesAfter(Cut cut, std::mt19937_64& random) const {
    if (cut == Cut::kKeepNames || cut == Cut::kKeepAll) return names;
    Names left = synced_names;
    if (cut != Cut::kRandom) return left;
    const size_t kept = random() % (unsynced_names.size() + 1);
    for (size_t i = 0; i < kept; ++i) {
      const NameChange& change = unsynced_names[i];
      if (change.moved_to != nullptr && change.moved_to->IsUnsynced(change.moved_by)) break;
      Apply(left, change);
    }
    return left;
  }

  std::shared_ptr<const std::string> ContentAfter(Cut cut, std::mt19937_64& random) const {
    if (cut == Cut::kDropAll || cut == Cut::kKeepNames || unsynced.empty()) return synced;
    std::string content = *synced;
    for (const Write& write : unsynced) {
      if (write.bytes == nullptr) {
        if (cut == Cut::kKeepAll || cut == Cut::kKeepData || Toss(random)) {
          content.resize(static_cast<size_t>(write.offset), '\0');
        }
        continue;
      }
      const auto begin = static_cast<size_t>(write.offset);
      for (size_t at = begin; at < begin + write.bytes->size();) {
        const size_t end = std::min((at / kBlock + 1) * kBlock, begin + write.bytes->size());
        const bool kept = cut != Cut::kRandom || Toss(random);
        if (kept) LayOver(content, at, std::string_view(*write.bytes).substr(at - begin, end - at));
        at = end;
      }
    }
    return std::make_shared<const std::string>(std::move(content));
  }

  int64_t inode = 0;
  bool is_folder = false;
  int mode = 0;

  int64_t size = 0;
  std::shared_ptr<const std::string> synced = std::make_shared<const std::string>();
  std::vector<Write> unsynced;

  Names names;
  Names synced_names;
  std::vector<NameChange> unsynced_names;
};

std::string_view CutName(Cut cut) {
  switch (cut) {
    case Cut::kDropAll:
      return "drop all";
    case Cut::kKeepData:
      return "keep data";
    case Cut::kKeepNames:
      return "keep names";
    case Cut::kKeepAll:
      return "keep all";
    case Cut::kRandom:
      return "random";
  }
  return "";
}

// ---- DiskImage

uint64_t DiskImage::Hash() const {
  uint64_t hash = 0;
  std::map<int64_t, uint64_t> order;  // inodes by first name
  for (const auto& [path, entry] : entries) {
    hash = XXH3_64bits_withSeed(path.data(), path.size(), hash);
    const uint64_t attributes[] = {order.try_emplace(entry.inode, order.size()).first->second,
                                   entry.is_folder ? 1u : 0u, static_cast<uint64_t>(entry.mode)};
    hash = XXH3_64bits_withSeed(attributes, sizeof attributes, hash);
    if (entry.is_folder) continue;
    hash = XXH3_64bits_withSeed(entry.content->data(), entry.content->size(), hash);
  }
  return hash;
}

void DiskImage::WriteTo(const std::string& folder) const {
  for (const auto& entry : fs::directory_iterator(folder)) fs::remove_all(entry.path());
  std::map<int64_t, std::string> written;
  for (const auto& [name, entry] : entries) {
    const std::string path = folder + '/' + name;
    if (entry.is_folder) {
      fs::create_directory(path);
    } else if (const auto [first, is_new] = written.try_emplace(entry.inode, path); is_new) {
      std::ofstream file(path, std::ios::binary);
      file << *entry.content;
      if (!file.flush()) ADD_FAILURE() << "cannot write " << path;
    } else {
      fs::create_hard_link(first->second, path);
    }
    chmod(path.c_str(), static_cast<mode_t>(entry.mode));
  }
}

// ---- SimulatedDisk

SimulatedDisk::SimulatedDisk() : root_(NewNode(/*is_folder=*/true)) {}

SimulatedDisk::SimulatedDisk(const DiskImage& image) : SimulatedDisk() {
  std::map<int64_t, NodePtr> nodes;
  for (const auto& [path, entry] : image.entries) {
    NodePtr& node = nodes[entry.inode];
    // A cut can leave a folder under two names; they are two folders from then on.
    if (node == nullptr || entry.is_folder) {
      node = NewNode(entry.is_folder);
      node->mode = entry.mode;
      if (!entry.is_folder) {
        node->synced = entry.content;
        node->size = static_cast<int64_t>(entry.content->size());
      }
    }
    auto [folder, name] = Place(path);
    folder.names[name] = folder.synced_names[name] = node;
  }
}

SimulatedDisk::SimulatedDisk(const SimulatedDisk& other) {
  const std::lock_guard lock(other.mutex_);
  next_inode_ = other.next_inode_;
  changes_ = other.changes_;
  std::map<const Node*, NodePtr> copies;
  const auto copy = [&](auto& self, NodePtr& node) -> void {
    if (node == nullptr) return;
    const auto [known, is_new] = copies.try_emplace(node.get());
    if (is_new) known->second = std::make_shared<Node>(*node);
    node = known->second;
    if (!is_new) return;
    for (Names* names : {&node->names, &node->synced_names}) {
      for (auto& [name, inner] : *names) self(self, inner);
    }
    for (Node::NameChange& change : node->unsynced_names) {
      for (auto& [name, inner] : change.names) self(self, inner);
      self(self, change.moved_to);
    }
  };
  root_ = other.root_;
  copy(copy, root_);
}

SimulatedDisk::NodePtr SimulatedDisk::NewNode(bool is_folder) {
  auto node = std::make_shared<Node>();
  node->inode = next_inode_++;
  node->is_folder = is_folder;
  node->mode = is_folder ? kFolderMode : kFileMode;
  return node;
}

SimulatedDisk::NodePtr SimulatedDisk::Find(const std::string& path) const {
  NodePtr node = root_;
  if (path.empty() || path == ".") return node;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const auto found = node->names.find(path.substr(begin, end - begin));
    if (found == node->names.end()) return nullptr;
    node = found->second;
    begin = end + 1;
  }
  return node;
}

SimulatedDisk::Node& SimulatedDisk::Folder(const std::string& path) const {
  const NodePtr node = Find(path);
  if (node == nullptr)
    ADD_FAILURE() << "the simulated disk does not know the folder '" << path << "'";
  return node == nullptr ? *root_ : *node;
}

std::pair<SimulatedDisk::Node&, std::string> SimulatedDisk::Place(const std::string& path) const {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {*root_, path};
  return {Folder(path.substr(0, slash)), path.substr(slash + 1)};
}

int64_t SimulatedDisk::Change(Node& folder, std::vector<std::pair<std::string, NodePtr>> names) {
  Node::NameChange change{.id = ++changes_, .names = std::move(names), .moved_to = {}};
  Node::Apply(folder.names, change);
  folder.unsynced_names.push_back(std::move(change));
  return changes_;
}

SimulatedDisk::NodePtr SimulatedDisk::Open(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (NodePtr found = Find(path)) return found;
  NodePtr file = NewNode(/*is_folder=*/false);
  auto [folder, name] = Place(path);
  Change(folder, {{name, file}});
  return file;
}

void SimulatedDisk::Write(Node& file, int64_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  const std::lock_guard lock(mutex_);
  file.unsynced.push_back({offset, std::make_shared<const std::string>(bytes)});
  file.size = std::max(file.size, offset + static_cast<int64_t>(bytes.size()));
  ++changes_;
}

void SimulatedDisk::Truncate(Node& file, int64_t size) {
  const std::lock_guard lock(mutex_);
  if (file.size == size) return;
  file.unsynced.push_back({size, nullptr});
  file.size = size;
  ++changes_;
}

void SimulatedDisk::SetMode(Node& file, int mode) {
  const std::lock_guard lock(mutex_);
  file.mode = mode;
}

void SimulatedDisk::Sync(Node& file) {
  const std::lock_guard lock(mutex_);
  std::mt19937_64 unused;
  file.synced = file.ContentAfter(Cut::kKeepAll, unused);
  file.unsynced.clear();
  ++changes_;
}

void SimulatedDisk::LoseUnsynced(Node& file) {
  const std::lock_guard lock(mutex_);
  file.unsynced.clear();
  ++changes_;
}

int64_t SimulatedDisk::SizeOf(const Node& file) const {
  const std::lock_guard lock(mutex_);
  return file.size;
}

void SimulatedDisk::MakeFolder(const std::string& path) {
  const std::lock_guard lock(mutex_);
  auto [folder, name] = Place(path);
  Change(folder, {{name, NewNode(/*is_folder=*/true)}});
}

void SimulatedDisk::Remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  auto [folder, name] = Place(path);
  Change(folder, {{name, nullptr}});
}

void SimulatedDisk::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  const NodePtr node = Find(from);
  if (node == Find(to)) return;
  auto [source, old_name] = Place(from);
  auto [target, new_name] = Place(to);
  if (&source == &target) {
    Change(source, {{old_name, nullptr}, {new_name, node}});
    return;
  }
  const int64_t moved_by = Change(target, {{new_name, node}});
  Change(source, {{old_name, nullptr}});
  source.unsynced_names.back().moved_to = Find(FolderOf(to));
  source.unsynced_names.back().moved_by = moved_by;
}

void SimulatedDisk::Exchange(const std::string& a, const std::string& b) {
  const std::lock_guard lock(mutex_);
  if (FolderOf(a) != FolderOf(b)) ADD_FAILURE() << "only names of one folder are exchanged";
  auto [folder, name_a] = Place(a);
  Change(folder, {{name_a, Find(b)}, {b.substr(b.rfind('/') + 1), Find(a)}});
}

void SimulatedDisk::Link(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  auto [folder, name] = Place(to);
  Change(folder, {{name, Find(from)}});
}

void SimulatedDisk::Clone(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  std::mt19937_64 unused;
  const NodePtr file = NewNode(/*is_folder=*/false);
  const auto content = Find(from)->ContentAfter(Cut::kKeepAll, unused);
  file->size = static_cast<int64_t>(content->size());
  file->unsynced.push_back({0, content});
  auto [folder, name] = Place(to);
  Change(folder, {{name, file}});
}

void SimulatedDisk::SyncFolder(const std::string& path) {
  const std::lock_guard lock(mutex_);
  Node& folder = Folder(path);
  folder.synced_names = folder.names;
  folder.unsynced_names.clear();
  ++changes_;
}

int64_t SimulatedDisk::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

DiskImage SimulatedDisk::After(Cut cut, std::mt19937_64& random) const {
  const std::lock_guard lock(mutex_);
  DiskImage image;
  std::map<int64_t, std::shared_ptr<const std::string>> contents;  // one for all names of a file
  const auto add = [&](auto& self, const Node& folder, const std::string& prefix) -> void {
    for (const auto& [name, node] : folder.NamesAfter(cut, random)) {
      DiskImage::Entry entry{
          .inode = node->inode, .is_folder = node->is_folder, .mode = node->mode, .content = {}};
      if (!node->is_folder) {
        auto& content = contents[node->inode];
        if (content == nullptr) content = node->ContentAfter(cut, random);
        entry.content = content;
      }
      image.entries[prefix + name] = entry;
      if (node->is_folder) self(self, *node, prefix + name + '/');
    }
  };
  add(add, *root_, "");
  return image;
}

}  // namespace ckpt::storage
