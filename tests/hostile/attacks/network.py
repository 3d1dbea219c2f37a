"""Tries to reach anything but its own stack. Ends with 1 if anything was reached."""
import os, socket, sys, threading, time

reached = []


def tcp(address, port, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        try:
            connection.connect((address, port))
        except OSError as error:
            # Refused is an answer too: somebody is there.
            if error.errno == 111:
                reached.append(f"{address}:{port} refused")
            return
        reached.append(f"{address}:{port}")


def name(host):
    try:
        reached.append(f"{host} is {socket.getaddrinfo(host, 80)[0][4]}")
    except OSError:
        pass


own = socket.gethostbyname(socket.gethostname())
net = own.rsplit(".", 1)[0]
targets = [(address, int("@PORT@")) for address in "@HOST@".split()]
# The neighbour, the gateway of the own network and of the default one, metadata services, DNS, the engine.
targets += [("@NEIGHBOUR@", 8080), (net + ".1", int("@PORT@")), (net + ".1", 22), ("172.17.0.1", 2375)]
targets += [("169.254.169.254", 80), ("169.254.170.2", 80), ("100.100.100.200", 80), ("192.0.0.192", 80)]
targets += [("1.1.1.1", 53), ("8.8.8.8", 443), ("10.255.255.53", 53), ("0.0.0.0", int("@PORT@")), ("127.0.0.1", int("@PORT@"))]
threads = [threading.Thread(target=tcp, args=target, daemon=True) for target in targets if ":" not in target[0] and not target[0].startswith(("0.0", "127."))]
threads += [threading.Thread(target=tcp, args=(address, int("@PORT@"), socket.AF_INET6), daemon=True) for address in ("fd00::1", "fe80::1", "2001:4860:4860::8888", "fd00:ec2::254")]
hosts = ("host.docker.internal", "gateway.docker.internal", "neighbour", "metadata.google.internal", "example.org", "canary.dns.example.org")
threads += [threading.Thread(target=name, args=(host,), daemon=True) for host in hosts]
for thread in threads:
    thread.start()
deadline = time.monotonic() + 12
for thread in threads:
    thread.join(max(0, deadline - time.monotonic()))
# Frames to everybody on the bridge: it has no other machine on it.
for group in ("255.255.255.255", "224.0.0.251"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as everybody:
        everybody.settimeout(1)
        everybody.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        try:
            everybody.sendto(b"\0" * 12, (group, 5353))
            everybody.recv(1)
            reached.append(group)
        except OSError:
            pass
print("reached:", reached, flush=True)
os._exit(1 if reached else 0)
