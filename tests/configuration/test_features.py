from metric_samples import samples

from pilothouse.configuration.features import FeatureMetrics


def test_features_are_shown_by_stage() -> None:
    found = samples(FeatureMetrics())
    assert found['kubernetes_feature_enabled{name="APIResponseCompression",stage="BETA"}'] == "1"
    assert found['kubernetes_feature_enabled{name="AllAlpha",stage="ALPHA"}'] == "0"
    assert found['kubernetes_feature_enabled{name="SidecarContainers",stage=""}'] == "1"
