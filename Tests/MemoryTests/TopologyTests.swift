import Foundation
import TestSupport
import Testing

@testable import Memory

@Suite struct TopologyTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Lays out the files of a made-up machine.
  private func machine(_ files: [String: String]) throws -> SystemReader {
    for (path, text) in files {
      let parent = folder.path + "/" + path.split(separator: "/").dropLast().joined(separator: "/")
      try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
      try folder.write(text, to: path)
    }
    return SystemReader(root: folder.path)
  }

  private func node(_ number: Int, cpus: String, kilobytes: Int) -> [String: String] {
    let folder = "sys/devices/system/node/node\(number)"
    return [
      folder + "/cpulist": cpus + "\n",
      folder + "/meminfo":
        "Node \(number) MemTotal:       \(kilobytes) kB\nNode \(number) MemFree:  \(kilobytes / 2) kB\n"
        + "Node \(number) Active(file):  8 kB\nNode \(number) Inactive(file):  4 kB\n",
    ]
  }

  private let status = """
    Name:\tattend
    Cpus_allowed:\tff
    Cpus_allowed_list:\t0-7
    Mems_allowed_list:\t0-7

    """

  @Test("two nodes, all allowed")
  func twoNodes() throws {
    let reader = try machine(
      [
        "sys/devices/system/node/online": "0-1\n", "proc/self/status": status,
        "proc/meminfo": "MemTotal: 3000 kB\nMemFree: 5 kB\nMemAvailable: 2000 kB\n",
      ]
      .merging(node(0, cpus: "0-3", kilobytes: 1_000)) { $1 }
      .merging(node(1, cpus: "4-7", kilobytes: 2_000)) { $1 })
    #expect(
      reader.topology()
        == Topology(nodes: [
          .init(number: 0, cpus: [0, 1, 2, 3], memoryBytes: 1_024_000),
          .init(number: 1, cpus: [4, 5, 6, 7], memoryBytes: 2_048_000),
        ]))
    #expect(reader.topology().defaultWorkerCount == 8)
    #expect(reader.topology().nodesOfWorkers(count: 4) == [0, 0, 1, 1])
    #expect(reader.availableBytes == 2_048_000)
    #expect(reader.availableBytes(onNode: 1) == (1_000 + 12 / 2) * 1_024)
  }

  @Test("holes in the numbers, nodes without memory and without CPUs, a cpuset and a mask")
  func oddNodes() throws {
    let reader = try machine(
      [
        "sys/devices/system/node/online": "0,2-3,8\n",
        "proc/self/status": "Cpus_allowed_list:\t2-5,12-13\nMems_allowed_list:\t0,8\n",
        "proc/meminfo": "MemTotal: 600 kB\n",
      ]
      .merging(node(0, cpus: "0-3", kilobytes: 100)) { $1 }
      .merging(node(2, cpus: "4-7", kilobytes: 0)) { $1 }
      .merging(node(3, cpus: "12", kilobytes: 200)) { $1 }
      .merging(node(8, cpus: "", kilobytes: 300)) { $1 })
    let topology = reader.topology()
    #expect(topology.nodes.map(\.number) == [0, 2, 3, 8])
    #expect(topology.nodes.map(\.cpus) == [[2, 3], [4, 5], [12], []])
    #expect(topology.memoryNodes == [0, 8], "3 is closed by the cpuset, 2 has no memory")
    #expect(topology.computeNodes == [0, 2, 3])
    #expect(topology.allowedCPUs == [2, 3, 4, 5, 12], "13 is offline")
    #expect(topology.nodesOfWorkers(count: 5) == [0, 0, 2, 2, 3])
    #expect(topology.nodesOfWorkers(count: 1) == [0])
    #expect(reader.topology(affinity: [12]).computeNodes == [3], "a thread's own mask is narrower")
  }

  @Test("a kernel without nodes is one node")
  func noNodes() throws {
    let topology = try machine([
      "proc/self/status": "Cpus_allowed_list:\t0,2\n", "proc/meminfo": "MemTotal: 64 kB\n",
    ]).topology()
    #expect(topology == Topology(nodes: [.init(number: 0, cpus: [0, 2], memoryBytes: 65_536)]))
  }

  @Test("where nothing can be read there is still one worker")
  func nothing() throws {
    let reader = try machine([:])
    #expect(reader.topology().defaultWorkerCount == 1)
    #expect(reader.topology().nodes.count == 1)
    #expect(reader.availableBytes == nil)
  }

  @Test(
    "the quota of version 2 holds at every level above",
    arguments: [
      ("150000 100000", "max 100000", 1.5), ("max 100000", "50000 100000", 0.5),
      ("300000 100000", "250000 100000", 2.5), ("max 100000", "max 100000", nil),
    ] as [(String, String, Double?)])
  func version2(inner: String, outer: String, quota: Double?) throws {
    let topology = try machine([
      "proc/self/status": status,
      "proc/self/cgroup": "0::/user.slice/session\n",
      "proc/self/mountinfo":
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
      "sys/fs/cgroup/user.slice/session/cpu.max": inner + "\n",
      "sys/fs/cgroup/user.slice/cpu.max": outer + "\n",
      "sys/fs/cgroup/user.slice/session/memory.max": "max\n",
      "sys/fs/cgroup/user.slice/memory.max": "1048576\n",
      "sys/fs/cgroup/user.slice/memory.high": "max\n",
      "sys/fs/cgroup/user.slice/memory.current": "600000\n",
      "sys/fs/cgroup/user.slice/memory.stat": "anon 5\ninactive_file 100000\n",
    ]).topology()
    #expect(topology.cpuQuota == quota)
    #expect(topology.defaultWorkerCount == quota.map { Int($0.rounded(.up)) } ?? 8)
    #expect(topology.memoryLimitBytes == 1_048_576)
    #expect(SystemReader(root: folder.path).availableBytes == 1_048_576 - 500_000)
  }

  @Test("version 1, in a container that sees only its own part of the tree")
  func version1() throws {
    let reader = try machine([
      "proc/self/status": status,
      "proc/meminfo": "MemTotal: 1000000 kB\nMemAvailable: 900000 kB\n",
      "proc/self/cgroup": "5:memory:/docker/abc/inner\n4:cpu,cpuacct:/docker/abc\n0::/\n",
      "proc/self/mountinfo":
        "31 30 0:28 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
        + "32 30 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro master:3 - cgroup cgroup rw,cpu,cpuacct\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "320000\n",
      "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
      "sys/fs/cgroup/memory/inner/memory.limit_in_bytes": "9223372036854771712\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "500000000\n",
      "sys/fs/cgroup/memory/memory.usage_in_bytes": "100000000\n",
      "sys/fs/cgroup/memory/memory.stat":
        "cache 7\nhierarchical_memory_limit 400000000\ntotal_inactive_file 30000000\n",
    ])
    let topology = reader.topology()
    #expect(topology.cpuQuota == 3.2)
    #expect(topology.defaultWorkerCount == 4)
    #expect(topology.memoryLimitBytes == 400_000_000, "the limit of a level out of sight")
    #expect(topology.usableMemoryBytes == 400_000_000)
    #expect(reader.availableBytes == 330_000_000)
  }

  @Test("lists of numbers, as the kernel writes them and as it does not")
  func lists() {
    #expect(SystemText.list("0-3,8,10-11\n") == [0, 1, 2, 3, 8, 10, 11])
    #expect(SystemText.list("") == [])
    #expect(SystemText.list("\n") == [])
    #expect(SystemText.list("x,3-1,99999999999999999999,5") == [5])
  }

  @Test("this machine: the affinity mask and the nodes agree with the system's own words")
  func thisMachine() throws {
    let topology = Topology.current
    #expect(topology == Topology.current)
    let affinity = try #require(ThreadAffinity.current)
    #expect(Set(topology.allowedCPUs).isSubset(of: affinity.cpus))
    #expect(topology.defaultWorkerCount >= 1)
    #expect(topology.defaultWorkerCount <= topology.allowedCPUs.count)
    #expect(topology.memoryBytes > 0)
    let available = try #require(Topology.availableMemoryBytes)
    #expect(available > 0 && available <= topology.usableMemoryBytes)
  }

  @Test("a mask of CPUs is applied and read back")
  func affinity() throws {
    let before = try #require(ThreadAffinity.current)
    let one = ThreadAffinity([before.cpus[0]])
    let isOver = DispatchSemaphore(value: 0)
    let thread = Thread {
      #expect(one.apply())
      #expect(ThreadAffinity.current == one)
      #expect(ThreadAffinity.currentCPU == before.cpus[0])
      #expect(!ThreadAffinity([8_191]).apply(), "a CPU that is not there")
      isOver.signal()
    }
    thread.start()
    isOver.wait()
    #expect(ThreadAffinity.current == before, "other threads keep theirs")
  }
}
