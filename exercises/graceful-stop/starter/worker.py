"""Works for ever, one step a second."""
import time

# TODO: what should happen on SIGTERM?

print("ready")
step = 0
while True:
    step += 1
    print(f"step {step}")
    time.sleep(1)
