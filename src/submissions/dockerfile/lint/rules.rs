//! Every rule: its id, how much it matters, what it says.
//!
//! Ids that begin with `DL` are hadolint's, with its severities
//! (<https://github.com/hadolint/hadolint#rules>); the others are docker's own build checks, all of
//! them warnings (<https://docs.docker.com/reference/build-checks/>). hadolint 2.15 no longer has
//! `DL3005`, `DL3017`, `DL3031` and `DL3039`; they are told where somebody asks for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is wrong.
    Error,
    /// It is likely to do harm.
    Warning,
    /// It could be better.
    Info,
    /// It is a matter of style.
    Style,
    /// Told only where somebody asks for the rule by its id.
    Ignore,
}

impl Severity {
    /// As it is written in exercises and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Style => "style",
            Self::Ignore => "ignore",
        }
    }
}

/// Something that a Dockerfile should not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Such as `DL3008` or `StageNameCasing`.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What to do instead, without a full stop; code stands in backticks.
    pub message: &'static str,
}

impl Rule {
    /// The rule with this id.
    #[must_use]
    pub fn find(id: &str) -> Option<&'static Self> {
        RULES.iter().find(|rule| rule.id == id)
    }

    /// The id that was probably meant.
    #[must_use]
    pub fn near(id: &str) -> Option<&'static str> {
        let distance = |known: &str| strsim::damerau_levenshtein(&known.to_lowercase(), &id.to_lowercase());
        let nearest = RULES.iter().map(|rule| (distance(rule.id), rule.id)).min();
        nearest.filter(|(distance, known)| *distance <= (known.len() / 4).max(1)).map(|(_, known)| known)
    }
}

const fn rule(id: &'static str, severity: Severity, message: &'static str) -> Rule {
    Rule { id, severity, message }
}

use Severity::{Error, Ignore, Info, Style, Warning};

/// Every rule that is known, docker's after hadolint's.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    rule("DL1001", Ignore, "a comment switches rules off; better mend what they complain about"),
    rule("DL3000", Error, "`WORKDIR` needs an absolute path"),
    rule("DL3001", Info, "this command makes no sense while an image is built"),
    rule("DL3002", Warning, "the last `USER` of a stage should not be root"),
    rule("DL3003", Warning, "change the directory with `WORKDIR`, not with `cd`"),
    rule("DL3004", Error, "do not use `sudo`; switch users with `USER`"),
    rule("DL3005", Ignore, "do not upgrade the whole system with `apt-get`; use a newer base image"),
    rule("DL3006", Warning, "give the base image a tag"),
    rule("DL3007", Warning, "`latest` changes under your feet; name a release tag"),
    rule("DL3008", Warning, "pin versions: `apt-get install <package>=<version>`"),
    rule("DL3009", Info, "remove the package lists in the same `RUN`: `rm -rf /var/lib/apt/lists/*`"),
    rule("DL3010", Info, "`ADD` unpacks a local archive by itself; no `COPY` and a command to unpack"),
    rule("DL3011", Error, "ports go from 0 to 65535"),
    rule("DL3012", Error, "only one `HEALTHCHECK` in a stage counts"),
    rule("DL3013", Warning, "pin versions: `pip install <package>==<version>`, or install from a requirements file"),
    rule("DL3014", Warning, "nobody can answer questions during a build: `apt-get install -y`"),
    rule("DL3015", Info, "leave out what is only recommended: `apt-get install --no-install-recommends`"),
    rule("DL3016", Warning, "pin versions: `npm install <package>@<version>`"),
    rule("DL3017", Ignore, "do not upgrade the whole system with `apk`; use a newer base image"),
    rule("DL3018", Warning, "pin versions: `apk add <package>=<version>`"),
    rule("DL3019", Info, "keep the index out of the image: `apk add --no-cache`"),
    rule("DL3020", Error, "use `COPY` for files and folders; `ADD` is for archives and addresses"),
    rule("DL3021", Error, "with several sources the target of `COPY` has to end with `/`"),
    rule("DL3022", Warning, "`COPY --from` should name a stage that stands before it"),
    rule("DL3023", Error, "`COPY --from` cannot copy from its own stage"),
    rule("DL3024", Error, "two stages have the same name"),
    rule("DL3025", Warning, "write the command in exec form: `[\"program\", \"argument\"]`"),
    rule("DL3027", Warning, "`apt` is made for people; use `apt-get` or `apt-cache`"),
    rule("DL3028", Warning, "pin versions: `gem install <gem>:<version>`"),
    rule("DL3029", Warning, "leave `--platform` out of `FROM`; choose it when building"),
    rule("DL3030", Warning, "nobody can answer questions during a build: `yum install -y`"),
    rule("DL3031", Ignore, "do not upgrade the whole system with `yum`; use a newer base image"),
    rule("DL3032", Warning, "clean up in the same `RUN`: `yum clean all`"),
    rule("DL3033", Warning, "pin versions: `yum install <package>-<version>`"),
    rule("DL3034", Warning, "nobody can answer questions during a build: `zypper install -y`"),
    rule("DL3035", Warning, "do not upgrade the whole system with `zypper`; use a newer base image"),
    rule("DL3036", Warning, "clean up in the same `RUN`: `zypper clean`"),
    rule("DL3037", Warning, "pin versions: `zypper install <package>=<version>`"),
    rule("DL3038", Warning, "nobody can answer questions during a build: `dnf install -y`"),
    rule("DL3039", Ignore, "do not upgrade the whole system with `dnf`; use a newer base image"),
    rule("DL3040", Warning, "clean up in the same `RUN`: `dnf clean all`"),
    rule("DL3041", Warning, "pin versions: `dnf install <package>-<version>`"),
    rule("DL3042", Warning, "keep pip's cache out of the image: `pip install --no-cache-dir`"),
    rule("DL3043", Error, "`ONBUILD` cannot hold `ONBUILD`, `FROM` or `MAINTAINER`"),
    rule("DL3044", Error, "a variable has no value yet in the `ENV` that sets it"),
    rule("DL3045", Warning, "`COPY` to a relative path without a `WORKDIR` before it"),
    rule("DL3046", Warning, "`useradd` with a high number and without `-l` makes a huge image"),
    rule("DL3047", Warning, "`wget` without `--progress=dot:giga` or `-q` floods the build log"),
    rule("DL3048", Style, "label keys have lower-case letters, digits, `.` and `-`"),
    rule("DL3057", Ignore, "the stage has no `HEALTHCHECK`"),
    rule("DL3059", Info, "several `RUN` one after another could be one"),
    rule("DL3060", Info, "clean up in the same `RUN`: `yarn cache clean`"),
    rule("DL3061", Error, "a Dockerfile begins with `FROM`, `ARG` or a comment"),
    rule("DL3062", Warning, "pin versions: `go install <package>@<version>`"),
    rule("DL3064", Warning, "the name promises a secret, and values of `ARG` and `ENV` stay readable in the image"),
    rule("DL3065", Warning, "`--platform=$TARGETPLATFORM` is what `FROM` does anyway"),
    rule("DL3066", Info, "a user's name may not be known to the host; give `USER` a number"),
    rule("DL3067", Warning, "do not copy the whole file system of another stage"),
    rule("DL4000", Error, "`MAINTAINER` is deprecated; use a `LABEL`"),
    rule("DL4001", Warning, "use `wget` or `curl`, not both"),
    rule("DL4003", Warning, "only the last `CMD` of a stage counts"),
    rule("DL4004", Error, "only the last `ENTRYPOINT` of a stage counts"),
    rule("DL4005", Warning, "change the shell with `SHELL`, not with a link at `/bin/sh`"),
    rule("DL4006", Warning, "a failing command before `|` goes unnoticed; set `SHELL [\"/bin/bash\", \"-o\", \"pipefail\", \"-c\"]` before it"),
    rule("StageNameCasing", Warning, "write names of stages in lower case"),
    rule("FromAsCasing", Warning, "write `FROM` and `AS` in the same case"),
    rule("NoEmptyContinuation", Warning, "an empty line inside an instruction will become an error"),
    rule("ConsistentInstructionCasing", Warning, "write all instructions in the same case"),
    rule("DuplicateStageName", Warning, "two stages have the same name"),
    rule("ReservedStageName", Warning, "a stage cannot be called `scratch` or `context`"),
    rule("JSONArgsRecommended", Warning, "write the command in exec form, so that signals reach it"),
    rule("MaintainerDeprecated", Warning, "`MAINTAINER` is deprecated; use a `LABEL`"),
    rule("UndefinedArgInFrom", Warning, "`FROM` uses a variable that no `ARG` before it declares"),
    rule("UndefinedVar", Warning, "a variable is used that nothing before it defines"),
    rule("WorkdirRelativePath", Warning, "a relative `WORKDIR` without an absolute one before it depends on the base image"),
    rule("MultipleInstructionsDisallowed", Warning, "only the last one in a stage counts"),
    rule("LegacyKeyValueFormat", Warning, "write `NAME=value` instead of `NAME value`"),
    rule("RedundantTargetPlatform", Warning, "`--platform=$TARGETPLATFORM` is what `FROM` does anyway"),
    rule("SecretsUsedInArgOrEnv", Warning, "the name promises a secret, and values of `ARG` and `ENV` stay readable in the image"),
    rule("InvalidDefaultArgInFrom", Warning, "without its build argument the name of the base image is empty or invalid"),
    rule("FromPlatformFlagConstDisallowed", Warning, "`--platform` of `FROM` should not be constant"),
    rule("CopyIgnoredFile", Warning, "the file is kept out of the build by `.dockerignore`"),
    rule("InvalidDefinitionDescription", Ignore, "a comment before `FROM … AS name` or `ARG name` begins with the name, or is followed by an empty line"),
    rule("ExposeProtoCasing", Warning, "write the protocol in lower case"),
    rule("ExposeInvalidFormat", Warning, "`EXPOSE` takes a port and a protocol, no address and no port of the host"),
];
