package import Memory
package import ModelFiles
package import Models
package import StreamingAttention

// Which exit status each library error ends a command with.

extension ModelFileError {
  package var exitStatus: ExitStatus {
    switch self {
    case .notFound, .unreadable, .missingShard: .missingFile
    case .unwritable, .tooManyOpenFiles: .inputOutput
    case .outOfAddressSpace: .outOfResources
    default: .badData
    }
  }
}

extension ModelError {
  package var exitStatus: ExitStatus {
    switch self {
    case .file(let error): error.exitStatus
    case .unsupported, .invalid, .positions, .tokenOutOfRange: .badData
    case .attention(let error): error.exitStatus
    case .tooSmall: .usage
    case .outOfMemory: .outOfResources
    case .cancelled: .interrupted
    }
  }
}

extension AttentionError {
  package var exitStatus: ExitStatus {
    switch self {
    case .cache(.outOfMemory), .cache(.refused), .cache(.outOfAddressSpace), .outOfMemory:
      .outOfResources
    case .cache(.positionOutOfRange), .cache(.invalidShape), .setting, .queryHeads: .badData
    case .instructionSet: .usage
    case .cancelled: .interrupted
    default: .software
    }
  }
}

extension BenchmarkError {
  package var exitStatus: ExitStatus {
    switch self {
    case .option: .usage
    case .attention(let error): error.exitStatus
    case .cache(let error): AttentionError.cache(error).exitStatus
    case .cacheLimit, .memory: .outOfResources
    case .model(let error): error.exitStatus
    case .data: .badData
    case .unreadable: .missingFile
    case .output: .inputOutput
    case .wrongAnswer: .software
    case .interrupted: .interrupted
    }
  }
}
