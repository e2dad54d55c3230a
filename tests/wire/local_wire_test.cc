// Hand-over in shared memory, as any trainer may do it, well or badly.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "local_peer.h"
#include "tests/bench/machine.h"
#include "wire.h"

namespace ckpt::wire {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;
using testing::SizeIs;

int OpenDescriptors(pid_t pid) {
  int count = 0;
  for ([[maybe_unused]] const auto& entry :
       fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    ++count;
  }
  return count;
}

class LocalWireTest : public WireTest {
 protected:
  LocalWireTest() { Connect(); }

  void Connect() {
    v1::Hello hello;
    *hello.add_policies() = BestPolicy();
    hello.set_writer_epoch(epoch_);
    trainer_ = std::make_unique<Trainer>(Channel());
    const auto welcome = trainer_->Hello(hello);
    ASSERT_TRUE(welcome);
    epoch_ = welcome->writer_epoch();
    socket_ = welcome->local_socket();
    token_ = welcome->local_token();
  }
  std::unique_ptr<LocalPeer> Peer() {
    auto peer = std::make_unique<LocalPeer>(socket_);
    EXPECT_TRUE(peer->Hello(token_));
    return peer;
  }
  // Opens the next save.
  std::string Save() {
    ++seq_;
    const auto decision =
        trainer_->Epoch(seq_, static_cast<int64_t>(seq_) - 1, 1.0 / static_cast<double>(seq_));
    EXPECT_TRUE(decision && decision->saves_size() == 1);
    return decision ? decision->saves(0).name() : "";
  }
  static v1::LocalRequest Submit(const std::string& save, int64_t size, uint64_t generation,
                                 uint32_t slot = 1) {
    v1::LocalRequest request;
    v1::SubmitPart& submit = *request.mutable_submit();
    *submit.mutable_start() = ForSave(save);
    submit.mutable_start()->set_size(size);
    submit.set_slot(slot);
    submit.set_generation(generation);
    return request;
  }
  void UploadInChunks(const std::string& save, const std::string& content) {
    Upload upload(Channel());
    ASSERT_EQ(upload.Start(ForSave(save)), 0);
    for (size_t at = 0; at < content.size(); at += 1 << 19) {
      upload.Chunk(static_cast<int64_t>(at), content.substr(at, 1 << 19));
    }
    ASSERT_TRUE(upload.FinishWith(content));
  }
  // That the daemon serves others as if nothing had been.
  void ExpectService() {
    const auto peer = Peer();
    PeerSlot slot(1 << 16);
    ASSERT_EQ(ReasonOf(peer->Register(1, slot)), "");
    const std::string save = Save();
    const auto stored = peer->Ask(Submit(save, 3, slot.Write("abc")));
    ASSERT_EQ(ReasonOf(stored), "");
    EXPECT_EQ(Download(save), "abc");
  }

  std::unique_ptr<Trainer> trainer_;
  uint64_t epoch_ = 0;
  uint64_t seq_ = 0;
  std::string socket_;
  std::string token_;
};

TEST_F(LocalWireTest, APartOfEverySizeBecomesTheSameCheckpointAsByGrpc) {
  const auto peer = Peer();
  constexpr int64_t kSlot = 20 << 20;
  PeerSlot slot(kSlot);
  ASSERT_EQ(ReasonOf(peer->Register(1, slot)), "");
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{4 << 20},
                            size_t{(9 << 20) + 13}, static_cast<size_t>(kSlot)}) {
    std::string content(size, '\0');
    for (size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * 2'654'435'761 >> 13);
    const std::string shared = Save();
    auto request = Submit(shared, static_cast<int64_t>(size), slot.Write(content));
    if (size % 2 == 0) request.mutable_submit()->set_xxh3_128(DigestOf(content));
    const auto stored = peer->Ask(request);
    ASSERT_TRUE(stored && stored->has_stored()) << size << ' ' << ReasonOf(stored);
    EXPECT_EQ(stored->stored().part().xxh3_128(), DigestOf(content));
    EXPECT_EQ(stored->stored().checkpoint().state(), v1::Checkpoint::STATE_COMMITTED);
    EXPECT_EQ(Download(shared), content);
    const std::string uploaded = Save();
    UploadInChunks(uploaded, content);
    const auto listed = List();
    const v1::Part& one = listed[listed.size() - 2].parts(0);
    const v1::Part& other = listed[listed.size() - 1].parts(0);
    EXPECT_EQ(one.SerializeAsString(), other.SerializeAsString());
  }
  grpc::ClientContext context;
  v1::Status status;
  ASSERT_TRUE(v1::AdminService::NewStub(Channel())->GetStatus(&context, {}, &status).ok());
  EXPECT_EQ(status.local_socket(), socket_);
  EXPECT_EQ(status.slot_bytes(), kSlot + 4096);
  EXPECT_EQ(status.direct_parts() + status.paced_parts(), 7);
}

TEST_F(LocalWireTest, PartsAndStages) {
  const auto peer = Peer();
  PeerSlot first(100);
  PeerSlot second(100);
  ASSERT_EQ(ReasonOf(peer->Register(1, first)), "");
  ASSERT_EQ(ReasonOf(peer->Register(2, second)), "");
  const std::string save = Save();
  auto weights = Submit(save, 1, first.Write("w"), 1);
  weights.mutable_submit()->mutable_start()->set_part_count(2);
  auto optimizer = Submit(save, 1, second.Write("o"), 2);
  optimizer.mutable_submit()->mutable_start()->set_part_count(2);
  optimizer.mutable_submit()->mutable_start()->set_part("optimizer");
  const auto one = peer->Ask(weights);
  ASSERT_EQ(ReasonOf(one), "");
  EXPECT_EQ(one->stored().checkpoint().state(), v1::Checkpoint::STATE_SAVING);
  EXPECT_THAT(List(), IsEmpty());
  const auto both = peer->Ask(optimizer);
  ASSERT_EQ(ReasonOf(both), "");
  EXPECT_EQ(both->stored().checkpoint().state(), v1::Checkpoint::STATE_COMMITTED);
  ASSERT_THAT(List(), SizeIs(1));
  EXPECT_THAT(List()[0].parts(), SizeIs(2));

  auto stage = Submit("", 6, first.Write("staged"), 1);
  stage.mutable_submit()->mutable_start()->mutable_staged()->set_run("runs/r");
  stage.mutable_submit()->mutable_start()->mutable_staged()->set_stage_id("s");
  ASSERT_EQ(ReasonOf(peer->Ask(stage)), "");
  ++seq_;
  v1::Event event = EpochEnd(seq_, static_cast<int64_t>(seq_), 0.01);
  event.set_staged_upload("s");
  ASSERT_TRUE(trainer_->Send(Events({event})));
  auto outcome = trainer_->NextOutcome();
  if (outcome && outcome->save() == save) outcome = trainer_->NextOutcome();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(Download(outcome->save()), "staged");
}

TEST_F(LocalWireTest, AFileInMemoryIsTakenAsItIs) {
  const auto peer = Peer();
  const UniqueFd file(memfd_create("file", MFD_CLOEXEC));
  const std::string content(5 << 20, 'f');
  ASSERT_EQ(write(file.get(), content.data(), content.size()),
            static_cast<ssize_t>(content.size()));
  const std::string save = Save();
  v1::LocalRequest request = Submit(save, static_cast<int64_t>(content.size()), 0);
  request.mutable_submit()->mutable_file();
  ASSERT_EQ(ReasonOf(peer->Ask(request, file.get())), "");
  EXPECT_EQ(Download(save), content);
}

TEST_F(LocalWireTest, WrongDescriptorsAreRefused) {
  const auto peer = Peer();
  const int before = OpenDescriptors(daemon_.pid());
  const PeerSlot unsealed(8192, /*sealed=*/false);
  const PeerSlot truncated(8192, true, /*bytes_less=*/1);
  const PeerSlot good(8192);
  for (const PeerSlot* slot : {&unsealed, &truncated}) {
    EXPECT_EQ(ReasonOf(peer->Register(1, *slot)), "FIELD_INVALID");
  }
  v1::LocalRequest request;
  request.mutable_register_slot()->set_slot(1);
  request.mutable_register_slot()->set_size(8192);
  EXPECT_EQ(ReasonOf(peer->Ask(request)), "FIELD_INVALID") << "none came";
  const std::string path = folder_ / "file";
  std::ofstream(path) << "a file on a disk";
  for (const char* name : {"/dev/null", "/dev/zero", "/", path.c_str()}) {
    const UniqueFd file(open(name, O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(file.valid()) << name;
    EXPECT_EQ(ReasonOf(peer->Ask(request, file.get())), "FIELD_INVALID") << name;
    v1::LocalRequest submit = Submit(Save(), 16, 0);
    submit.mutable_submit()->mutable_file();
    EXPECT_EQ(ReasonOf(peer->Ask(submit, file.get())), "FIELD_INVALID") << name;
  }
  for (const int64_t size : {int64_t{0}, int64_t{-1}, int64_t{1} << 62, INT64_MAX, INT64_MIN}) {
    request.mutable_register_slot()->set_size(size);
    EXPECT_THAT(ReasonOf(peer->Ask(request, good.fd())),
                testing::AnyOf("FIELD_INVALID", "LIMIT_EXCEEDED"))
        << size;
  }
  const UniqueFd shorter(memfd_create("file", MFD_CLOEXEC));
  v1::LocalRequest submit = Submit(Save(), 16, 0);
  submit.mutable_submit()->mutable_file();
  EXPECT_EQ(ReasonOf(peer->Ask(submit, shorter.get())), "FIELD_INVALID");
  EXPECT_EQ(OpenDescriptors(daemon_.pid()), before) << "descriptors are left open";
  ExpectService();
}

TEST_F(LocalWireTest, WrongRequestsAreAnsweredAndChangeNothing) {
  const auto peer = Peer();
  PeerSlot slot(8192);
  ASSERT_EQ(ReasonOf(peer->Register(1, slot)), "");
  EXPECT_EQ(ReasonOf(peer->Register(1, slot)), "FIELD_INVALID") << "registered twice";
  const std::string save = Save();
  const uint64_t generation = slot.Write("abc");
  struct Case {
    const char* what;
    v1::LocalRequest request;
    const char* reason;
  };
  std::vector<Case> cases = {
      {"no slot", Submit(save, 3, generation, 9), "FIELD_INVALID"},
      {"larger than the slot", Submit(save, 8193, generation), "FIELD_INVALID"},
      {"negative", Submit(save, -1, generation), "FIELD_INVALID"},
      {"another generation", Submit(save, 3, generation + 2), "FIELD_INVALID"},
      {"odd generation", Submit(save, 3, generation + 1), "FIELD_INVALID"},
      {"unknown save", Submit("runs/r/checkpoints/99", 3, generation), "SAVE_NOT_OPEN"},
      {"unknown run", Submit("runs/nope/checkpoints/1", 3, generation), "RUN_NOT_FOUND"},
      {"an alias", Submit("runs/r/checkpoints/best", 3, generation), "FIELD_INVALID"},
  };
  cases.push_back({"no source", Submit(save, 3, generation), "FIELD_INVALID"});
  cases.back().request.mutable_submit()->clear_source();
  cases.push_back({"part", Submit(save, 3, generation), "NAME_INVALID"});
  cases.back().request.mutable_submit()->mutable_start()->set_part("../x");
  cases.push_back({"offset", Submit(save, 3, generation), "FIELD_INVALID"});
  cases.back().request.mutable_submit()->mutable_start()->set_offset(1);
  cases.push_back({"short digest", Submit(save, 3, generation), "FIELD_INVALID"});
  cases.back().request.mutable_submit()->set_xxh3_128("abc");
  cases.push_back({"other digest", Submit(save, 3, generation), "DIGEST_MISMATCH"});
  cases.back().request.mutable_submit()->set_xxh3_128(DigestOf("other"));
  v1::LocalRequest release;
  release.mutable_release_slot()->set_slot(9);
  cases.push_back({"release of none", release, "FIELD_INVALID"});
  for (const Case& each : cases) {
    EXPECT_EQ(ReasonOf(peer->Ask(each.request)), each.reason) << each.what;
  }
  EXPECT_THAT(List(), IsEmpty());
  EXPECT_EQ(ReasonOf(peer->Ask(Submit(save, 3, generation))), "") << "the save is still open";
  const auto again = peer->Ask(Submit(save, 3, generation));
  ASSERT_EQ(ReasonOf(again), "") << "a save that is committed says so";
  EXPECT_EQ(again->stored().checkpoint().state(), v1::Checkpoint::STATE_COMMITTED);
  release.mutable_release_slot()->set_slot(1);
  EXPECT_EQ(ReasonOf(peer->Ask(release)), "");
  EXPECT_EQ(ReasonOf(peer->Ask(Submit(save, 3, generation))), "FIELD_INVALID") << "released";
}

TEST_F(LocalWireTest, WhatEndsAConnectionEndsNoOther) {
  v1::LocalRequest hello;
  hello.mutable_hello()->set_token(token_);
  v1::LocalRequest wrong;
  wrong.mutable_hello()->set_token(std::string(16, 'x'));
  v1::LocalRequest release;
  release.mutable_release_slot()->set_slot(1);
  v1::LocalRequest nothing;
  nothing.set_id(1);
  const PeerSlot slot(8192);
  struct Case {
    const char* what;
    std::string bytes;
    int descriptor = -1;
    int descriptors = 1;
    const char* reason = "PROTOCOL";
  };
  const Case cases[] = {
      {"not hello first", EncodeFrame(release)},
      {"wrong token", EncodeFrame(wrong), -1, 1, "code 7"},
      {"hello twice", EncodeFrame(hello) + EncodeFrame(hello)},
      {"nothing in it", EncodeFrame(hello) + EncodeFrame(nothing)},
      {"no id", EncodeFrame(hello) + EncodeFrame(release)},
      {"a huge frame", std::string("\xff\xff\xff\xff")},
      {"no message", std::string("\x04\x00\x00\x00\xff\xff\xff\xff", 8)},
      {"a descriptor for nothing", EncodeFrame(hello), slot.fd()},
      {"two descriptors", EncodeFrame(hello), slot.fd(), 2},
      {"eight descriptors", EncodeFrame(hello), slot.fd(), 8},
  };
  const int before = OpenDescriptors(daemon_.pid());
  for (const Case& each : cases) {
    LocalPeer peer(socket_);
    ASSERT_TRUE(peer.SendBytes(each.bytes, each.descriptor, each.descriptors)) << each.what;
    auto response = peer.Read();
    if (response && response->has_welcome()) response = peer.Read();
    EXPECT_EQ(ReasonOf(response), each.reason) << each.what;
    EXPECT_EQ(ReasonOf(peer.Read()), "closed") << each.what;
  }
  // gRPC closes the connections of ExpectService a little later: asking is what passes the time.
  do ExpectService();
  while (OpenDescriptors(daemon_.pid()) > before + 3);
}

TEST_F(LocalWireTest, ASlotThatIsWrittenAfterItWasSubmittedPublishesNothing) {
  const auto peer = Peer();
  constexpr int64_t kSize = 64 << 20;
  PeerSlot slot(kSize);
  ASSERT_EQ(ReasonOf(peer->Register(1, slot)), "");
  const std::string save = Save();
  const uint64_t generation = slot.Write(std::string(kSize, 'a'));
  v1::LocalRequest request = Submit(save, kSize, generation);
  request.set_id(77);
  ASSERT_TRUE(peer->Send(request));
  slot.Write(std::string(kSize, 'b'));
  const auto response = peer->Read();
  // It may have been stored before the writing began: then it is what was submitted.
  if (ReasonOf(response) == "") {
    EXPECT_EQ(Download(save), std::string(kSize, 'a'));
  } else {
    EXPECT_THAT(ReasonOf(response), testing::AnyOf("DIGEST_MISMATCH", "FIELD_INVALID"));
    EXPECT_THAT(List(), IsEmpty());
  }
}

TEST_F(LocalWireTest, WhatWasSubmittedOutlivesItsTrainer) {
  constexpr int64_t kSize = 8 << 20;
  const std::string content(kSize, 's');
  std::vector<std::string> saves;
  {
    auto peer = Peer();
    PeerSlot one(kSize);
    PeerSlot other(kSize);
    ASSERT_EQ(ReasonOf(peer->Register(1, one)), "");
    ASSERT_EQ(ReasonOf(peer->Register(2, other)), "");
    for (uint32_t i = 1; i <= 2; ++i) saves.push_back(Save());
    ASSERT_TRUE(peer->Send(Submit(saves[0], kSize, one.Write(content), 1)));
    ASSERT_TRUE(peer->Send(Submit(saves[1], kSize, other.Write(content), 2)));
  }
  for (size_t i = 0; i < saves.size(); ++i) ASSERT_TRUE(trainer_->NextOutcome());
  for (const std::string& save : saves) EXPECT_EQ(Download(save), content);
}

TEST_F(LocalWireTest, WhatWasSubmittedIsStoredBeforeTheDaemonEnds) {
  constexpr int64_t kSize = 32 << 20;
  const std::string content(kSize, 's');
  std::vector<std::string> saves;
  {
    const auto peer = Peer();
    std::vector<std::unique_ptr<PeerSlot>> slots;
    for (uint32_t i = 1; i <= 8; ++i) {  // more than are stored at a time
      slots.push_back(std::make_unique<PeerSlot>(kSize));
      ASSERT_EQ(ReasonOf(peer->Register(i, *slots.back())), "");
      saves.push_back(Save());
    }
    for (uint32_t i = 1; i <= 8; ++i) {
      ASSERT_TRUE(peer->Send(Submit(saves[i - 1], kSize, slots[i - 1]->Write(content), i)));
    }
    v1::LocalRequest release;
    release.mutable_release_slot()->set_slot(9);
    ASSERT_TRUE(peer->Send(release));
    // That is answered when everything before it has been taken.
    for (auto answer = peer->Read(); ReasonOf(answer) != "FIELD_INVALID"; answer = peer->Read()) {
      ASSERT_EQ(ReasonOf(answer), "");
    }
  }
  // No connection of gRPC, which the daemon would wait for as well.
  trainer_->Finish();
  trainer_.reset();
  catalog_.reset();
  EXPECT_EQ(daemon_.Stop(), 0);
  ASSERT_TRUE(daemon_.Start());
  catalog_ = v1::CatalogService::NewStub(Channel());
  EXPECT_THAT(List(), SizeIs(8));
  for (const std::string& save : saves) EXPECT_EQ(Download(save), content);
}

TEST_F(LocalWireTest, AHandOverThatWasNotSubmittedIsNothing) {
  const std::string save = Save();
  {
    auto peer = Peer();
    PeerSlot slot(1 << 20);
    ASSERT_EQ(ReasonOf(peer->Register(1, slot)), "");
    slot.SetGeneration(1);  // in the middle of the copy
    v1::LocalRequest request = Submit(save, 1 << 20, 2);
    const std::string frame = EncodeFrame(request);
    ASSERT_TRUE(peer->SendBytes(std::string_view(frame).substr(0, frame.size() / 2)));
  }
  ExpectService();
  EXPECT_THAT(List(), SizeIs(1));
  EXPECT_TRUE(UploadAll(save, "the same save, by gRPC").ok());
}

TEST_F(LocalWireTest, AThousandConnectionsComeAndGo) {
  const int before = OpenDescriptors(daemon_.pid());
  for (int i = 0; i < 1000; ++i) {
    LocalPeer peer(socket_);
    ASSERT_TRUE(peer.connected());
    if (i % 3 == 0) continue;  // says nothing
    ASSERT_TRUE(i % 3 == 1 ? peer.Hello(token_) : peer.SendBytes("garbage that is no frame"));
  }
  do ExpectService();
  while (OpenDescriptors(daemon_.pid()) > before + 3);
}

TEST_F(LocalWireTest, APeerThatNeverReadsIsReadNoFurther) {
  const auto peer = Peer();
  v1::LocalRequest release;
  release.mutable_release_slot()->set_slot(5);
  std::string many;
  for (int i = 0; i < 5000; ++i) many += EncodeFrame(release);
  const int64_t idle = bench::ResidentMemory(daemon_.pid());
  // Answers fill this end's buffer, then the daemon stops reading, and then its own is full.
  size_t sent = 0;
  while (const size_t more = peer->SendSome(std::string_view(many).substr(sent % many.size()))) {
    sent += more;
    ASSERT_LT(sent, 256u << 20) << "it reads on";
  }
  ExpectService();
  EXPECT_LT(bench::ResidentMemory(daemon_.pid()) - idle, 16 << 20);
}

TEST_F(LocalWireTest, AfterARestartTheOldTokenLetsNobodyIn) {
  const auto old = Peer();
  PeerSlot slot(1 << 20);
  ASSERT_EQ(ReasonOf(old->Register(1, slot)), "");
  const std::string save = Save();
  const std::string old_token = token_;
  daemon_.Kill();
  EXPECT_EQ(ReasonOf(old->Ask(Submit(save, 3, slot.Write("abc")))), "closed");
  ASSERT_TRUE(daemon_.Start());
  LocalPeer stranger(socket_);
  EXPECT_FALSE(stranger.Hello(old_token));
  Connect();
  EXPECT_NE(token_, old_token);
  const auto peer = Peer();
  ASSERT_EQ(ReasonOf(peer->Register(1, slot)), "");
  ASSERT_EQ(ReasonOf(peer->Ask(Submit(save, 3, slot.Write("abc")))), "");
  EXPECT_EQ(Download(save), "abc");
}

}  // namespace
}  // namespace ckpt::wire
