"""What a deployer needs: for the calls that the commands make, and for what CloudFormation does for them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from ministack.core import iam_evaluator

from deploy.templates import load_template
from tests.support.change_sets import physical_ids
from tests.support.cloudformation_templates import ACCOUNT, REGION, Resolver

DEPLOYER = (
    *("DeployerPolicy", "DeployerStackPolicy", "DeployerDataStackPolicy", "OperatorPolicy"),
    "DeployerApiPolicy",  # with DRIVER_API=yes
)
REMOVER = (*DEPLOYER, "RemoverPolicy")
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/scones-dev-people-Boundary"


@dataclass(frozen=True)
class Need:
    """An action on a resource; `context` has values of condition keys, with names in lower case."""

    action: str
    resource: str
    context: Mapping[str, Any] = field(default_factory=dict)


def arn(service: str, resource: str, *, region: str = REGION) -> str:
    """Return an ARN of the account."""
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


@cache
def documents(stage: str = "dev") -> dict[str, Any]:
    """Return the documents of the policies for people, and of the boundary, of a stage."""
    template = load_template("people")
    resolver = Resolver(
        template, {"Stage": stage}, lambda name: f"arn:aws:iam::{ACCOUNT}:policy/scones-{stage}-people-{name}"
    )
    return {name: one["Properties"]["PolicyDocument"] for name, one in resolver.resources().items()}


def is_allowed(need: Need, policies: Sequence[str]) -> bool:
    """Whether one of these policies of stage `dev` allows what is needed."""
    context = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:iam::{ACCOUNT}:user/dora",
        principal_type="User",
        principal_account=ACCOUNT,
        action=need.action,
        resource_arn=need.resource,
        region=REGION,
        secure_transport=True,
        service_context=dict(need.context),
    )
    parsed = [iam_evaluator.parse_policy_document(documents()[name]) for name in policies]
    return bool(iam_evaluator.evaluate(context, parsed).decision == "Allow")


def needs_of_call(service: str, operation: str, params: Mapping[str, Any]) -> Iterator[Need]:
    """Yield what one call of the commands needs ("Actions, resources, and condition keys", Service Authorization)."""
    if service == "sts":
        return
    if service == "cloudformation":
        name = params.get("StackName", "scones-dev")
        yield Need(f"cloudformation:{operation}", name if name.startswith("arn:") else arn(service, f"stack/{name}/1"))
    elif service == "s3":
        yield from _needs_of_s3(operation, params)
    elif (service, operation) == ("lambda", "Invoke"):
        yield Need("lambda:InvokeFunction", arn(service, f"function:{params['FunctionName']}"))
    elif operation == "PutMetricData":
        yield Need("cloudwatch:PutMetricData", "*", {"cloudwatch:namespace": params["Namespace"]})
    else:
        prefix = {"service-quotas": "servicequotas"}.get(service, service)
        yield Need(f"{prefix}:{operation}", _resource(service, operation, params))


def _needs_of_s3(operation: str, params: Mapping[str, Any]) -> Iterator[Need]:
    bucket = f"arn:aws:s3:::{params['Bucket']}"
    if operation == "DeleteObjects":
        for one in params["Delete"]["Objects"]:
            action = "s3:DeleteObject" if one["VersionId"] == "null" else "s3:DeleteObjectVersion"
            yield Need(action, f"{bucket}/{one['Key']}")
    elif operation == "DeleteObject":
        yield Need(f"s3:DeleteObject{'Version' if 'VersionId' in params else ''}", f"{bucket}/{params['Key']}")
    elif operation in ("HeadBucket", "ListObjectsV2", "ListObjectVersions"):
        yield Need("s3:ListBucketVersions" if operation == "ListObjectVersions" else "s3:ListBucket", bucket)
    else:
        yield Need(f"s3:{operation.replace('Head', 'Get')}", f"{bucket}/{params['Key']}")


def _resource(service: str, operation: str, params: Mapping[str, Any]) -> str:
    if operation == "GetAccountSettings" or (operation.startswith("List") and service != "events"):
        return "*"
    if service == "events":
        bus = params.get("EventBusName", "")
        name = params.get("Rule") or params.get("Name") or "*"
        return arn("events", f"rule/{bus}/{name}")
    kinds = {
        "TableName": "table/",
        "EndpointName": "endpoint/",
        "EndpointConfigName": "endpoint-config/",
        "ModelName": "model/",
        "ModelPackageGroupName": "model-package-group/",
        "logGroupName": "log-group:",
        "logGroupNamePrefix": "log-group:",
        "repositoryName": "repository/",
        "projectName": "project/",
    }
    if "ModelPackageName" in params:
        return str(params["ModelPackageName"])
    if "QueueUrl" in params:
        return arn("sqs", params["QueueUrl"].rpartition("/")[2])
    if "ids" in params:
        return arn("codebuild", f"project/{params['ids'][0].partition(':')[0]}")
    name = next((name for name in kinds if name in params), None)
    assert name is not None, f"needs_of_call does not know {service}:{operation}"
    return arn(service, kinds[name] + params[name])


_TAGS = "TagResource UntagResource ListTagsForResource"
# The permissions of the handlers of CloudFormation's resource types ("Resource type schemas"), as far as the templates
# use their properties: to create, read and change a resource, and to delete it.
_HANDLERS = {
    "AWS::S3::Bucket": (
        "CreateBucket PutBucketTagging PutEncryptionConfiguration PutLifecycleConfiguration PutBucketNotification "
        "PutBucketPublicAccessBlock PutBucketVersioning PutBucketOwnershipControls ListBucket GetBucketAcl "
        "GetAccelerateConfiguration GetLifecycleConfiguration GetBucketPublicAccessBlock GetAnalyticsConfiguration "
        "GetBucketCORS GetEncryptionConfiguration GetInventoryConfiguration GetBucketLogging GetMetricsConfiguration "
        "GetBucketNotification GetBucketVersioning GetReplicationConfiguration GetBucketWebsite "
        "GetBucketObjectLockConfiguration GetBucketTagging GetBucketOwnershipControls "
        "GetIntelligentTieringConfiguration GetBucketMetadataTableConfiguration",
        "DeleteBucket ListBucket",
    ),
    "AWS::S3::BucketPolicy": ("PutBucketPolicy GetBucketPolicy", "DeleteBucketPolicy"),
    "AWS::DynamoDB::Table": (
        "CreateTable DescribeTable UpdateTable DescribeTimeToLive UpdateTimeToLive DescribeContinuousBackups "
        "UpdateContinuousBackups DescribeContributorInsights DescribeKinesisStreamingDestination GetResourcePolicy "
        "ListTagsOfResource TagResource UntagResource",
        "DeleteTable DescribeTable",
    ),
    "AWS::IAM::Role": (
        "CreateRole PutRolePolicy DeleteRolePolicy PutRolePermissionsBoundary GetRole GetRolePolicy ListRolePolicies "
        "ListAttachedRolePolicies UpdateRole UpdateRoleDescription UpdateAssumeRolePolicy TagRole UntagRole",
        "DeleteRole DeleteRolePolicy GetRole ListAttachedRolePolicies ListRolePolicies",
    ),
    "AWS::ECR::Repository": (
        "CreateRepository DescribeRepositories PutLifecyclePolicy GetLifecyclePolicy DeleteLifecyclePolicy "
        f"GetRepositoryPolicy PutImageScanningConfiguration PutImageTagMutability {_TAGS}",
        "DeleteRepository",
    ),
    "AWS::CodeBuild::Project": ("CreateProject UpdateProject BatchGetProjects", "DeleteProject"),
    "AWS::Logs::LogGroup": (f"CreateLogGroup PutRetentionPolicy DeleteRetentionPolicy {_TAGS}", "DeleteLogGroup"),
    "AWS::Events::EventBus": (f"CreateEventBus DescribeEventBus UpdateEventBus {_TAGS}", "DeleteEventBus"),
    "AWS::Events::Rule": (
        f"PutRule DescribeRule PutTargets RemoveTargets ListTargetsByRule EnableRule DisableRule {_TAGS}",
        "RemoveTargets DeleteRule",
    ),
    "AWS::SQS::Queue": (
        "CreateQueue GetQueueAttributes SetQueueAttributes GetQueueUrl ListQueueTags TagQueue UntagQueue",
        "DeleteQueue",
    ),
    "AWS::SQS::QueuePolicy": ("SetQueueAttributes", "SetQueueAttributes"),
    "AWS::SSM::Parameter": (
        "PutParameter GetParameters AddTagsToResource RemoveTagsFromResource ListTagsForResource",
        "DeleteParameter",
    ),
    "AWS::Lambda::LayerVersion": ("PublishLayerVersion GetLayerVersion", "DeleteLayerVersion"),
    "AWS::Lambda::Function": (
        "CreateFunction GetFunction GetFunctionConfiguration UpdateFunctionCode UpdateFunctionConfiguration "
        "PutFunctionConcurrency DeleteFunctionConcurrency GetFunctionCodeSigningConfig GetFunctionRecursionConfig "
        "GetRuntimeManagementConfig TagResource UntagResource ListTags",
        "DeleteFunction",
    ),
    "AWS::Lambda::Permission": ("AddPermission GetPolicy", "RemovePermission"),
    "AWS::Lambda::EventInvokeConfig": (
        "PutFunctionEventInvokeConfig UpdateFunctionEventInvokeConfig GetFunctionEventInvokeConfig",
        "DeleteFunctionEventInvokeConfig",
    ),
    "AWS::StepFunctions::StateMachine": (
        f"CreateStateMachine DescribeStateMachine UpdateStateMachine {_TAGS}",
        "DeleteStateMachine DescribeStateMachine",
    ),
    "AWS::KMS::Key": (
        "CreateKey TagResource DescribeKey GetKeyPolicy PutKeyPolicy GetKeyRotationStatus EnableKeyRotation "
        "DisableKeyRotation EnableKey DisableKey UpdateKeyDescription ListResourceTags UntagResource",
        "DescribeKey ScheduleKeyDeletion",
    ),
    "AWS::SNS::Topic": (
        f"CreateTopic GetTopicAttributes SetTopicAttributes GetDataProtectionPolicy ListSubscriptionsByTopic {_TAGS}",
        "DeleteTopic",
    ),
    "AWS::SNS::TopicPolicy": ("SetTopicAttributes", "SetTopicAttributes"),
    "AWS::CloudWatch::CompositeAlarm": (f"PutCompositeAlarm DescribeAlarms {_TAGS}", "DeleteAlarms"),
    "AWS::CloudWatch::Dashboard": ("PutDashboard GetDashboard", "GetDashboard DeleteDashboards"),
    "AWS::CloudWatch::Alarm": (f"PutMetricAlarm DescribeAlarms {_TAGS}", "DeleteAlarms"),
    **{
        f"AWS::ApiGatewayV2::{kind}": ("POST PUT GET PATCH", "GET DELETE")
        for kind in ("Api", "Integration", "Route", "Stage")
    },
    "AWS::Budgets::Budget": ("ModifyBudget ViewBudget TagResource UntagResource ListTagsForResource", "ModifyBudget"),
}
_PREFIXES = {"StepFunctions": "states"}
# The name of a resource, by its property, after what precedes it in the ARN.
_NAMED = {
    "AWS::S3::Bucket": ("BucketName", ""),
    "AWS::S3::BucketPolicy": ("Bucket", ""),
    "AWS::DynamoDB::Table": ("TableName", "table/"),
    "AWS::ECR::Repository": ("RepositoryName", "repository/"),
    "AWS::CodeBuild::Project": ("Name", "project/"),
    "AWS::Logs::LogGroup": ("LogGroupName", "log-group:"),
    "AWS::Events::EventBus": ("Name", "event-bus/"),
    "AWS::Events::Rule": ("Name", "rule/"),
    "AWS::SQS::Queue": ("QueueName", ""),
    "AWS::SSM::Parameter": ("Name", "parameter"),
    "AWS::Lambda::LayerVersion": ("LayerName", "layer:"),
    "AWS::Lambda::Function": ("FunctionName", "function:"),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", "stateMachine:"),
    "AWS::SNS::Topic": ("TopicName", ""),
    **dict.fromkeys(("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"), ("AlarmName", "alarm:")),
}


def _data_outputs(stage: str) -> dict[str, str]:
    """Return the outputs of the data stack that are parameters of the app stack."""
    names = {
        f"{name.title()}Bucket": f"scones-{stage}-{name}-{ACCOUNT}-{REGION}" for name in ("uploads", "ml", "artifacts")
    }
    names |= {"PhotoTable": f"scones-{stage}-photos", "ModelTable": f"scones-{stage}-models"}
    roles = ("TrainingRole", "EvaluationRole", "BacktestRole", "EndpointRole")
    return names | {f"{name}Arn": arn("iam", f"role/scones-{stage}-data-{name}-1", region="") for name in roles}


@dataclass(frozen=True)
class Stacks:
    """The resources of both stacks of a stage, with every condition met, and what their handlers need."""

    resources: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, stage: str = "dev") -> "Stacks":
        found: dict[str, Mapping[str, Any]] = {}
        for name, suffix in (("data", "-data"), ("app", "")):
            template = load_template(name)
            parameters = {
                key: str(one.get("Default", f"scones-{stage}-x")) for key, one in template["Parameters"].items()
            }
            parameters |= {"Stage": stage, "PermissionsBoundary": BOUNDARY, "MonthlyBudgetUsd": "5", "DriverApi": "yes"}
            parameters |= _data_outputs(stage)
            stack = f"scones-{stage}{suffix}"
            resolver = Resolver(template, parameters, physical_ids(stack, template, parameters))
            found |= {f"{stack}/{key}": one for key, one in resolver.resources().items()}
        return cls(found)

    def needs(self, key: str, *, to_delete: bool) -> Iterator[Need]:
        """Yield what CloudFormation needs to create, read and change a resource, or to delete it."""
        resource = self.resources[key]
        kind, properties = resource["Type"], resource["Properties"]
        stack, _, logical_id = key.partition("/")
        service = _PREFIXES.get(kind.split("::")[1], kind.split("::")[1].lower())
        context: dict[str, Any] = {}
        if kind == "AWS::IAM::Role":
            context = {"iam:permissionsboundary": properties.get("PermissionsBoundary")}
        elif kind == "AWS::KMS::Key":
            context = {"aws:resourcetag/stack": stack, "aws:calledvia": ["cloudformation.amazonaws.com"]}
        elif kind.startswith("AWS::ApiGatewayV2::"):
            # Only an API and its stages have tags.
            context = {"aws:calledvia": ["cloudformation.amazonaws.com"]}
            if kind.endswith(("::Api", "::Stage")):
                context |= {"aws:resourcetag/stack": stack}
            service = "apigateway"
        for action in _HANDLERS[kind][to_delete].split():
            tagged = (kind, action) == ("AWS::ApiGatewayV2::Api", "POST") or (
                kind == "AWS::KMS::Key" and action in ("CreateKey", "TagResource")
            )
            tags = {"aws:requesttag/stack": stack} if tagged else {}
            target = "*" if action == "CreateKey" else self._arn(stack, logical_id, kind, properties)
            if kind == "AWS::ApiGatewayV2::Api" and action == "POST":
                target = target.rpartition("/")[0]
            if kind == "AWS::Lambda::LayerVersion" and action != "PublishLayerVersion":
                target += ":1"
            yield Need(f"{service}:{action}", target, {**context, **tags})

    def _arn(self, stack: str, logical_id: str, kind: str, properties: Mapping[str, Any]) -> str:
        if kind == "AWS::IAM::Role":
            return arn("iam", f"role/{stack}-{logical_id}-0123456789AB", region="")
        if kind == "AWS::KMS::Key":
            return arn("kms", "key/00000000-0000-0000-0000-000000000000")
        if kind.startswith("AWS::ApiGatewayV2::"):
            part = "" if kind.endswith("::Api") else f"/{kind.rpartition(':')[2].lower()}s/1"
            return f"arn:aws:apigateway:{REGION}::/apis/a1b2c3d4e5{part}"
        if kind == "AWS::Budgets::Budget":
            return arn("budgets", f"budget/{properties['Budget']['BudgetName']}", region="")
        if kind == "AWS::CloudWatch::Dashboard":
            return arn("cloudwatch", f"dashboard/{properties['DashboardName']}", region="")
        if kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
            owner = logical_id.removesuffix("Policy")
            return self._arn(
                stack, owner, f"{kind.removesuffix('Policy')}", self.resources[f"{stack}/{owner}"]["Properties"]
            )
        if kind in ("AWS::Lambda::Permission", "AWS::Lambda::EventInvokeConfig"):
            return arn("lambda", f"function:{stack}-notify-failure")
        field_name, before = _NAMED[kind]
        if kind.startswith("AWS::S3::"):
            return f"arn:aws:s3:::{properties[field_name]}"
        if kind == "AWS::Events::Rule" and "EventBusName" in properties:
            before = f"rule/{properties['EventBusName']}/"
        service = _PREFIXES.get(kind.split("::")[1], kind.split("::")[1].lower())
        return arn(service, f"{before}{properties[field_name]}")
