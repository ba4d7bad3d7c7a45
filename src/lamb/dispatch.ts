import { errorText } from '../errors.ts'
import { FIRST_INTERNAL_OPCODE, Req, Result } from '../wire/sd-proto.ts'
import type { LambNode } from './node.ts'
import { operations, type Operation } from './operations.ts'
import type { Reply, Request } from './request.ts'

/** The highest version of client operations that a sheep accepts. */
const MAX_PROTO_VER = 2

/** Answers a request. Never throws; a failure of the machine below becomes a result. */
export function dispatch(node: LambNode, request: Request): Reply | Promise<Reply> {
  const operation = operations.get(request.opcode)
  const refusal = refusalOf(node, request, operation)
  if (refusal !== Result.SUCCESS || !operation) return { result: refusal }
  if (operation.isClusterWide === true) return inTurn(node, operation, request)
  try {
    return operation.run(node, request)
  } catch (error) {
    return failure(node, operation, error)
  }
}

/** The check of the version comes first, then that of the operation, then that of the cluster's state. */
function refusalOf(node: LambNode, request: Request, operation: Operation | undefined): number {
  const version = Req.protoVer.get(request.header)
  const { release } = node.options
  const isInternal = request.opcode >= FIRST_INTERNAL_OPCODE
  if (isInternal ? version !== release.internalVersion : version > MAX_PROTO_VER) return Result.VER_MISMATCH
  if (!operation || release.unknownOpcodes.has(request.opcode)) return Result.INVALID_PARMS
  if (node.isClosed) return Result.SHUTDOWN
  return operation.isForced === true ? Result.SUCCESS : node.stateResult
}

async function inTurn(node: LambNode, operation: Operation, request: Request): Promise<Reply> {
  try {
    return await node.inClusterQueue(() => operation.run(node, request))
  } catch (error) {
    return failure(node, operation, error)
  }
}

function failure(node: LambNode, operation: Operation, error: unknown): Reply {
  node.options.logger.error({ operation: operation.name, err: error }, errorText(error))
  const { code } = error as NodeJS.ErrnoException
  return { result: code === 'ENOSPC' ? Result.NO_SPACE : Result.EIO }
}
