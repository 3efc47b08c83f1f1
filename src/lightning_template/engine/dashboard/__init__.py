"""The dashboard in TensorBoard: its layout, curves and figures."""
