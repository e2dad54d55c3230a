"""How the client works inside; nothing here is for users."""

import os

# Where gRPC starts its threads again in each fork, a child that closes its descriptors, as before
# another program is run, can hang. Forks do not use our connections. gRPC looks at this when it is
# imported, so whoever needs it otherwise can say so before.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
