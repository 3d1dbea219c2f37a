"""Works for ever, one step a second, until it is asked to stop."""
import signal
import sys
import time


def stop(signum, frame):
    print("bye", flush=True)
    sys.exit(0)



print("ready", flush=True)
step = 0
while True:
    step += 1
    print(f"step {step}", flush=True)
    time.sleep(1)
