#include "client/ckptctl/views.h"

#include <gtest/gtest.h>

#include <sstream>

namespace ckpt::ctl {
namespace {

v1::Run SomeRun() {
  v1::Run run;
  run.set_name("runs/digits");
  run.set_state(v1::Run::STATE_RUNNING);
  run.set_epoch(19);
  run.set_durable_seq(421);
  run.set_checkpoint_count(12);
  run.set_checkpoint_bytes(3'355'443);
  run.mutable_update_time()->set_seconds(1'795'458'420);
  (*run.mutable_labels())["team"] = "vision";
  v1::CheckpointPolicy* best = run.add_policies();
  best->set_name("best");
  best->set_filepath("best.safetensors");
  best->set_save_best_only(true);
  v1::PolicyState* state = run.add_policy_states();
  state->set_policy("best");
  state->set_best(0.0931234567);
  state->set_best_checkpoint_id("11");
  v1::CheckpointPolicy* every = run.add_policies();
  every->set_name("every");
  every->set_filepath("e{epoch}");
  every->mutable_save_freq()->set_number_value(500);
  run.add_policy_states()->set_policy("every");
  return run;
}

v1::Checkpoint SomeCheckpoint() {
  v1::Checkpoint checkpoint;
  checkpoint.set_name("runs/digits/checkpoints/11");
  checkpoint.set_payload(v1::Checkpoint::PAYLOAD_FULL);
  checkpoint.set_epoch(11);
  checkpoint.set_seq(230);
  checkpoint.set_size(279'620);
  checkpoint.mutable_commit_time()->set_seconds(1'795'458'420);
  (*checkpoint.mutable_metrics())["val/loss"] = 0.0931234567;
  (*checkpoint.mutable_metrics())["acc"] = 0.97;
  v1::Placement* placement = checkpoint.add_placements();
  placement->set_policy("best");
  placement->set_filepath("odd\nname");
  placement->set_value(0.0931234567);
  v1::Part* part = checkpoint.add_parts();
  part->set_part("weights");
  part->set_size(279'620);
  part->set_xxh3_128("\x01\xab");
  return checkpoint;
}

template <typename Resource>
std::string List(Format format, const View<Resource>& view,
                 const std::vector<Resource>& resources) {
  std::ostringstream out;
  ListPrinter<Resource> printer(format, view, out);
  for (const Resource& resource : resources) printer.Print(resource);
  printer.Finish();
  return out.str();
}

TEST(RunViewTest, EachFormat) {
  EXPECT_EQ(List(Format::kTable, RunView(), {SomeRun()}),
            "RUN     STATE    EPOCH  CHECKPOINTS  SIZE     BEST                UPDATED\n"
            "digits  running  19     12           3.2 MiB  val_loss=0.0931235  2026-11-23 "
            "18:27:00Z\n");
  EXPECT_EQ(
      List(Format::kCsv, RunView(), {SomeRun()}),
      "run,state,epoch,checkpoints,size,best,updated,created,policies,labels\n"
      "digits,running,19,12,3355443,val_loss=0.0931234567,2026-11-23T18:27:00Z,,\"best,every\","
      "team=vision\n");
  EXPECT_EQ(List(Format::kName, RunView(), {SomeRun()}), "digits\n");
}

TEST(CheckpointViewTest, EachFormat) {
  EXPECT_EQ(
      List(Format::kTable, CheckpointView(), {SomeCheckpoint()}),
      "CHECKPOINT  EPOCH  BATCH  POLICY  VALUE      SIZE       COMMITTED             FILE\n"
      "digits@11   11            best    0.0931235  273.1 KiB  2026-11-23 18:27:00Z  odd\\nname\n");
  EXPECT_NE(List(Format::kWide, CheckpointView(), {SomeCheckpoint()})
                .find("230  full     1      acc=0.97 val/loss=0.0931235\n"),
            std::string::npos);
  EXPECT_EQ(List(Format::kName, CheckpointView(), {SomeCheckpoint(), SomeCheckpoint()}),
            "digits@11\ndigits@11\n");
}

TEST(ListPrinterTest, JsonIsOneArray) {
  EXPECT_EQ(List<v1::Run>(Format::kJson, RunView(), {}), "[]\n");
  v1::Run run;
  run.set_name("runs/a");
  const std::string two = List(Format::kJson, RunView(), {run, run});
  EXPECT_TRUE(two.starts_with("[\n{\"name\":\"runs/a\","));
  EXPECT_NE(two.find("},\n{\"name\":\"runs/a\""), std::string::npos);
  EXPECT_TRUE(two.ends_with("}\n]\n"));
  EXPECT_NE(two.find("\"epoch\":\"0\""), std::string::npos) << "defaults are written";
}

TEST(ListPrinterTest, SaysNothingBeforeThereIsAnAnswer) {
  for (const Format format : {Format::kTable, Format::kJson, Format::kCsv}) {
    std::ostringstream out;
    { const ListPrinter<v1::Run> printer(format, RunView(), out); }
    EXPECT_EQ(out.str(), "");
  }
}

TEST(PrintOneTest, JsonIsTheObject) {
  std::ostringstream out;
  PrintOne(Format::kJson, CheckpointView(), SomeCheckpoint(), out);
  EXPECT_TRUE(out.str().starts_with("{\n \"name\": \"runs/digits/checkpoints/11\""));
  EXPECT_NE(out.str().find("\"val/loss\": 0.0931234567"), std::string::npos);
}

TEST(DescribeRunTest, ShowsPoliciesWithTheirState) {
  std::ostringstream out;
  DescribeRun(SomeRun(), out);
  EXPECT_EQ(out.str(),
            "Run:          digits\n"
            "State:        running\n"
            "Labels:       team=vision\n"
            "Updated:      2026-11-23 18:27:00Z\n"
            "Epoch:        19\n"
            "Events:       421\n"
            "Checkpoints:  12 (3.2 MiB)\n"
            "\n"
            "POLICY  MONITOR   BEST ONLY  EVERY        BEST       BEST CHECKPOINT  FILE\n"
            "best    val_loss  yes        epoch        0.0931235  digits@11        "
            "best.safetensors\n"
            "every   val_loss  no         500 batches  0                           e{epoch}\n");
}

TEST(DescribeCheckpointTest, ShowsFilesPartsAndMetrics) {
  std::ostringstream out;
  DescribeCheckpoint(SomeCheckpoint(), out);
  EXPECT_EQ(out.str(),
            "Checkpoint:   digits@11\n"
            "Payload:      full\n"
            "Epoch:        11\n"
            "Size:         273.1 KiB\n"
            "Committed:    2026-11-23 18:27:00Z\n"
            "Metrics:      acc=0.97 val/loss=0.0931234567\n"
            "\n"
            "POLICY  VALUE         FILE       PROBLEM\n"
            "best    0.0931234567  odd\\nname\n"
            "\n"
            "PART     RANK  SIZE       XXH3-128\n"
            "weights  0     273.1 KiB  01ab\n");
}

TEST(DescribeStatusTest, SaysWhyItDoesNotServe) {
  v1::Status status;
  status.set_version("0.1.0");
  status.set_pid(42);
  status.set_not_serving_reason("the disk is full");
  status.add_listen("127.0.0.1:7070");
  status.add_listen("unix:/run/ckptd.sock");
  std::ostringstream out;
  DescribeStatus(status, "127.0.0.1:7070", out);
  EXPECT_TRUE(
      out.str().starts_with("Server:       127.0.0.1:7070 (ckptd 0.1.0, pid 42)\n"
                            "Serving:      no: the disk is full\n"
                            "Listening:    127.0.0.1:7070, unix:/run/ckptd.sock\n"))
      << out.str();
  EXPECT_EQ(out.str().find("Handed over"), std::string::npos);
}

TEST(DescribeStatusTest, SaysHowPartsOfSharedMemoryWereStored) {
  v1::Status status;
  status.set_local_socket("/data/local.sock");
  status.set_direct_parts(7);
  status.set_paced_parts(2);
  status.set_slot_bytes(3 << 20);
  status.set_snapshots(4);
  std::ostringstream out;
  DescribeStatus(status, "127.0.0.1:7070", out);
  EXPECT_NE(out.str().find("Local socket: /data/local.sock\n"
                           "Handed over:  7 parts past the page cache, 2 through it (3.0 MiB in "
                           "slots)\n"
                           "Snapshots:    4 held in memory\n"),
            std::string::npos)
      << out.str();
}

}  // namespace
}  // namespace ckpt::ctl
