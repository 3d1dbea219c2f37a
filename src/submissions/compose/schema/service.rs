//! The keys of a service.

use super::super::shape::{BOOL, Keys, List, NULL, NUMBER, Shape, TEXT};
use super::{
    AMOUNT, BOOLEAN, COMMAND, EXTRA_HOSTS, LIST_OR_MAP, OPTIONS, TEXT_ONLY, TEXT_OR_LIST, TEXTS, ULIMITS,
    UNIQUE_TEXTS, WHOLE, keys,
};

const FILE_MOUNTS: Shape = Shape::list(&List {
    item: TEXT_ONLY.or_map(&keys(&[
        ("source", TEXT_ONLY),
        ("target", TEXT_ONLY),
        ("uid", TEXT_ONLY),
        ("gid", TEXT_ONLY),
        ("mode", AMOUNT),
    ])),
    unique: false,
});

const BUILD: Shape = TEXT_ONLY.or_map(&keys(&[
    ("context", TEXT_ONLY),
    ("dockerfile", TEXT_ONLY),
    ("dockerfile_inline", TEXT_ONLY),
    ("entitlements", TEXTS),
    ("args", LIST_OR_MAP),
    ("ssh", LIST_OR_MAP),
    ("labels", LIST_OR_MAP),
    ("cache_from", TEXTS),
    ("cache_to", TEXTS),
    ("no_cache", BOOLEAN),
    ("no_cache_filter", TEXT_OR_LIST),
    ("additional_contexts", LIST_OR_MAP),
    ("network", TEXT_ONLY),
    ("pull", BOOLEAN),
    ("target", TEXT_ONLY),
    ("shm_size", WHOLE),
    ("extra_hosts", EXTRA_HOSTS),
    ("isolation", TEXT_ONLY),
    ("privileged", BOOLEAN),
    ("secrets", FILE_MOUNTS),
    ("tags", TEXTS),
    ("ulimits", ULIMITS),
    ("platforms", TEXTS),
    ("provenance", BOOLEAN),
    ("sbom", BOOLEAN),
]));

const THROTTLE: Shape = Shape::list(&List {
    item: Shape::map(&Keys::Known {
        keys: &[("path", TEXT_ONLY), ("rate", WHOLE)],
        required: &[],
        extensions: false,
    }),
    unique: false,
});

const BLKIO: Shape = Shape::map(&Keys::Known {
    keys: &[
        ("device_read_bps", THROTTLE),
        ("device_read_iops", THROTTLE),
        ("device_write_bps", THROTTLE),
        ("device_write_iops", THROTTLE),
        ("weight", WHOLE),
        (
            "weight_device",
            Shape::list(&List {
                item: Shape::map(&Keys::Known {
                    keys: &[("path", TEXT_ONLY), ("weight", WHOLE)],
                    required: &[],
                    extensions: false,
                }),
                unique: false,
            }),
        ),
    ],
    required: &[],
    extensions: false,
});

const CONDITIONS: Shape =
    Shape::words(&["service_started", "service_healthy", "service_completed_successfully"]);

const DEPENDS_ON: Shape =
    Shape::list(&List { item: TEXT_ONLY, unique: true }).or_map(&Keys::Names(Shape::map(&Keys::Known {
        keys: &[("restart", BOOLEAN), ("required", Shape::of(BOOL)), ("condition", CONDITIONS)],
        required: &["condition"],
        extensions: true,
    })));

const DEVICE_REQUEST: Shape = Shape::map(&Keys::Known {
    keys: &[
        ("capabilities", UNIQUE_TEXTS),
        ("count", WHOLE),
        ("device_ids", UNIQUE_TEXTS),
        ("driver", TEXT_ONLY),
        ("options", LIST_OR_MAP),
    ],
    required: &[],
    extensions: true,
});

const UPDATE: Shape = Shape::map(&keys(&[
    ("parallelism", WHOLE),
    ("delay", TEXT_ONLY),
    ("failure_action", TEXT_ONLY),
    ("monitor", TEXT_ONLY),
    ("max_failure_ratio", AMOUNT),
    ("order", Shape::words(&["start-first", "stop-first"])),
]));

const RESOURCES: Shape = Shape::map(&keys(&[
    ("limits", Shape::map(&keys(&[("cpus", AMOUNT), ("memory", TEXT_ONLY), ("pids", WHOLE)]))),
    (
        "reservations",
        Shape::map(&keys(&[
            ("cpus", AMOUNT),
            ("memory", TEXT_ONLY),
            ("generic_resources", Shape::list(&List { item: Shape::ANY, unique: false })),
            ("devices", Shape::list(&List { item: DEVICE_REQUEST, unique: false })),
        ])),
    ),
]));

const PLACEMENT: Shape = Shape::map(&keys(&[
    ("constraints", TEXTS),
    ("preferences", Shape::list(&List { item: Shape::map(&keys(&[("spread", TEXT_ONLY)])), unique: false })),
    ("max_replicas_per_node", WHOLE),
]));

const DEPLOY: Shape = Shape::of(NULL).or_map(&keys(&[
    ("mode", TEXT_ONLY),
    ("endpoint_mode", TEXT_ONLY),
    ("replicas", WHOLE),
    ("labels", LIST_OR_MAP),
    ("rollback_config", UPDATE),
    ("update_config", UPDATE),
    ("resources", RESOURCES),
    (
        "restart_policy",
        Shape::map(&keys(&[
            ("condition", TEXT_ONLY),
            ("delay", TEXT_ONLY),
            ("max_attempts", WHOLE),
            ("window", TEXT_ONLY),
        ])),
    ),
    ("placement", PLACEMENT),
]));

const HOOKS: Shape = Shape::list(&List {
    item: Shape::map(&keys(&[
        ("command", COMMAND),
        ("user", TEXT_ONLY),
        ("privileged", BOOLEAN),
        ("working_dir", TEXT_ONLY),
        ("environment", LIST_OR_MAP),
    ])),
    unique: false,
});

const ENV_FILE: Shape = TEXT_ONLY.or_list(&List {
    item: TEXT_ONLY.or_map(&Keys::Known {
        keys: &[("path", TEXT_ONLY), ("format", TEXT_ONLY), ("required", BOOLEAN)],
        required: &["path"],
        extensions: false,
    }),
    unique: false,
});

const EXTENDS: Shape = TEXT_ONLY.or_map(&Keys::Known {
    keys: &[("service", TEXT_ONLY), ("file", TEXT_ONLY)],
    required: &["service"],
    extensions: false,
});

const HEALTHCHECK: Shape = Shape::map(&keys(&[
    ("disable", BOOLEAN),
    ("interval", TEXT_ONLY),
    ("retries", AMOUNT),
    ("test", TEXT_ONLY.or_list(&List { item: TEXT_ONLY, unique: false })),
    ("timeout", TEXT_ONLY),
    ("start_period", TEXT_ONLY),
    ("start_interval", TEXT_ONLY),
]));

const SERVICE_NETWORKS: Shape = Shape::list(&List { item: TEXT_ONLY, unique: true }).or_map(&Keys::Names(
    Shape::of(NULL).or_map(&keys(&[
        ("aliases", UNIQUE_TEXTS),
        ("ipv4_address", TEXT_ONLY),
        ("ipv6_address", TEXT_ONLY),
        ("link_local_ips", UNIQUE_TEXTS),
        ("mac_address", TEXT_ONLY),
        ("driver_opts", OPTIONS),
        ("priority", Shape::of(NUMBER)),
        ("gw_priority", Shape::of(NUMBER)),
        ("interface_name", TEXT_ONLY),
    ])),
));

const PORTS: Shape = Shape::list(&List {
    item: Shape::of(TEXT | NUMBER).or_map(&keys(&[
        ("name", TEXT_ONLY),
        ("mode", TEXT_ONLY),
        ("host_ip", TEXT_ONLY),
        ("target", WHOLE),
        ("published", WHOLE),
        ("protocol", TEXT_ONLY),
        ("app_protocol", TEXT_ONLY),
    ])),
    unique: true,
});

const VOLUMES: Shape = Shape::list(&List {
    item: TEXT_ONLY.or_map(&Keys::Known {
        keys: &[
            ("type", TEXT_ONLY),
            ("source", TEXT_ONLY),
            ("target", TEXT_ONLY),
            ("read_only", BOOLEAN),
            ("consistency", TEXT_ONLY),
            (
                "bind",
                Shape::map(&keys(&[
                    ("propagation", TEXT_ONLY),
                    ("create_host_path", BOOLEAN),
                    ("recursive", Shape::words(&["enabled", "disabled", "writable", "readonly"])),
                    ("selinux", Shape::words(&["z", "Z"])),
                ])),
            ),
            (
                "volume",
                Shape::map(&keys(&[("nocopy", BOOLEAN), ("subpath", TEXT_ONLY), ("labels", LIST_OR_MAP)])),
            ),
            ("tmpfs", Shape::map(&keys(&[("size", WHOLE), ("mode", AMOUNT)]))),
            ("image", Shape::map(&keys(&[("subpath", TEXT_ONLY)]))),
        ],
        required: &["type"],
        extensions: true,
    }),
    unique: true,
});

const LOGGING: Shape = Shape::map(&keys(&[
    ("driver", TEXT_ONLY),
    ("options", Shape::map(&Keys::Any(Shape::of(TEXT | NUMBER | NULL)))),
]));

const WATCH: Shape = Shape::list(&List {
    item: Shape::map(&Keys::Known {
        keys: &[
            ("ignore", TEXT_OR_LIST),
            ("include", TEXT_OR_LIST),
            ("path", TEXT_ONLY),
            ("action", Shape::words(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
            ("target", TEXT_ONLY),
            ("exec", Shape::ANY),
            ("initial_sync", BOOLEAN),
        ],
        required: &["path", "action"],
        extensions: true,
    }),
    unique: false,
});

pub(in super::super) const SERVICE: Shape = Shape::map(&keys(&[
    ("annotations", LIST_OR_MAP),
    ("attach", BOOLEAN),
    ("blkio_config", BLKIO),
    ("build", BUILD),
    ("cap_add", UNIQUE_TEXTS),
    ("cap_drop", UNIQUE_TEXTS),
    ("cgroup", Shape::words(&["host", "private"])),
    ("cgroup_parent", TEXT_ONLY),
    ("command", COMMAND),
    ("configs", FILE_MOUNTS),
    ("container_name", TEXT_ONLY),
    ("cpu_count", WHOLE),
    ("cpu_percent", AMOUNT),
    ("cpu_period", AMOUNT),
    ("cpu_quota", AMOUNT),
    ("cpu_rt_period", AMOUNT),
    ("cpu_rt_runtime", AMOUNT),
    ("cpu_shares", AMOUNT),
    ("cpus", AMOUNT),
    ("cpuset", TEXT_ONLY),
    ("credential_spec", Shape::ANY),
    ("depends_on", DEPENDS_ON),
    ("deploy", DEPLOY),
    ("develop", Shape::of(NULL).or_map(&keys(&[("watch", WATCH)]))),
    ("device_cgroup_rules", UNIQUE_TEXTS),
    ("devices", Shape::list(&List { item: Shape::ANY, unique: false })),
    ("dns", TEXT_OR_LIST),
    ("dns_opt", UNIQUE_TEXTS),
    ("dns_search", TEXT_OR_LIST),
    ("domainname", TEXT_ONLY),
    ("entrypoint", COMMAND),
    ("env_file", ENV_FILE),
    ("environment", LIST_OR_MAP),
    ("expose", Shape::list(&List { item: Shape::of(TEXT | NUMBER), unique: true })),
    ("extends", EXTENDS),
    ("external_links", UNIQUE_TEXTS),
    ("extra_hosts", EXTRA_HOSTS),
    ("gpus", Shape::words(&["all"]).or_list(&List { item: DEVICE_REQUEST, unique: false })),
    ("group_add", Shape::list(&List { item: Shape::of(TEXT | NUMBER), unique: true })),
    ("healthcheck", HEALTHCHECK),
    ("hostname", TEXT_ONLY),
    ("image", TEXT_ONLY),
    ("init", BOOLEAN),
    ("ipc", TEXT_ONLY),
    ("isolation", TEXT_ONLY),
    ("label_file", TEXT_ONLY.or_list(&List { item: TEXT_ONLY, unique: false })),
    ("labels", LIST_OR_MAP),
    ("links", UNIQUE_TEXTS),
    ("logging", LOGGING),
    ("mac_address", TEXT_ONLY),
    ("mem_limit", AMOUNT),
    ("mem_reservation", WHOLE),
    ("mem_swappiness", WHOLE),
    ("memswap_limit", AMOUNT),
    ("models", Shape::ANY),
    ("network_mode", TEXT_ONLY),
    ("networks", SERVICE_NETWORKS),
    ("oom_kill_disable", BOOLEAN),
    ("oom_score_adj", WHOLE),
    ("pid", Shape::of(TEXT | NULL)),
    ("pids_limit", AMOUNT),
    ("platform", TEXT_ONLY),
    ("ports", PORTS),
    ("post_start", HOOKS),
    ("pre_stop", HOOKS),
    ("privileged", BOOLEAN),
    ("profiles", UNIQUE_TEXTS),
    ("provider", Shape::ANY),
    ("pull_policy", TEXT_ONLY),
    ("read_only", BOOLEAN),
    ("restart", TEXT_ONLY),
    ("runtime", TEXT_ONLY),
    ("scale", WHOLE),
    ("secrets", FILE_MOUNTS),
    ("security_opt", UNIQUE_TEXTS),
    ("shm_size", AMOUNT),
    ("stdin_open", BOOLEAN),
    ("stop_grace_period", TEXT_ONLY),
    ("stop_signal", TEXT_ONLY),
    ("storage_opt", Shape::map(&Keys::Any(Shape::ANY))),
    ("sysctls", LIST_OR_MAP),
    ("tmpfs", TEXT_OR_LIST),
    ("tty", BOOLEAN),
    ("ulimits", ULIMITS),
    ("use_api_socket", BOOLEAN),
    ("user", TEXT_ONLY),
    ("userns_mode", TEXT_ONLY),
    ("uts", TEXT_ONLY),
    ("volumes", VOLUMES),
    ("volumes_from", UNIQUE_TEXTS),
    ("working_dir", TEXT_ONLY),
]));
