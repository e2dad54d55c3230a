// How runs, checkpoints and the daemon are shown.
#pragma once

#include <ostream>

#include "client/ckptctl/printer.h"

namespace ckpt::ctl {

const View<v1::Run>& RunView();
const View<v1::Checkpoint>& CheckpointView();
const View<v1::Status>& StatusView();
const View<v1::Damage>& DamageView();

// Everything about one of them, for people.
void DescribeRun(const v1::Run& run, std::ostream& out);
void DescribeCheckpoint(const v1::Checkpoint& checkpoint, std::ostream& out);
void DescribeStatus(const v1::Status& status, const std::string& server, std::ostream& out);

}  // namespace ckpt::ctl
