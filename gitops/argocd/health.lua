-- How Argo CD sees a TrainingJob: Progressing until it has ended, as with a Job of Kubernetes.
local ends = {Complete = "Healthy", Failed = "Degraded", Suspended = "Suspended"}

local status = obj.status
if status == nil or status.phase == nil
  or (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return {status = "Progressing", message = "The operator has not seen this yet"}
end

local message = status.phase
if (status.reason or "") ~= "" then message = status.reason end
if (status.message or "") ~= "" then message = status.message end
return {status = ends[status.phase] or "Progressing", message = message}
