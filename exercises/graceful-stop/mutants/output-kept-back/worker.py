"""Works for ever, one step a second, until it is asked to stop."""
import signal
import sys
import time


def stop(signum, frame):
    print("bye")
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)

print("ready")
step = 0
while True:
    step += 1
    print(f"step {step}")
    time.sleep(1)
