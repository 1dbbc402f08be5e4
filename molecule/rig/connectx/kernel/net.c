// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A network driver for the emulated functions. It makes an interface for each, which drops all packets, and it makes
 * VFs as other kernel drivers do (sriov_configure). It has the name of the real driver, because mstfwreset refuses to
 * reset a card that has another driver.
 */
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include "card.h"

static int net_open(struct net_device *net)
{
	netif_carrier_on(net);
	netif_start_queue(net);
	return 0;
}

static int net_stop(struct net_device *net)
{
	netif_stop_queue(net);
	netif_carrier_off(net);
	return 0;
}

static netdev_tx_t net_xmit(struct sk_buff *skb, struct net_device *net)
{
	net->stats.tx_dropped++;
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops net_ops = {
	.ndo_open = net_open,
	.ndo_stop = net_stop,
	.ndo_start_xmit = net_xmit,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

static int net_probe(struct pci_dev *dev, const struct pci_device_id *id)
{
	struct card *card = rig_card_of_bus(dev->bus);
	struct net_device *net;
	u8 mac[ETH_ALEN];
	int error;

	if (!card)
		return -ENODEV;
	net = alloc_etherdev(0);
	if (!net)
		return -ENOMEM;
	if (dev->is_virtfn) {
		eth_hw_addr_random(net);
	} else {
		u64_to_ether_addr(card->mac + dev->devfn, mac);
		eth_hw_addr_set(net, mac);
	}
	SET_NETDEV_DEV(net, &dev->dev);
	net->netdev_ops = &net_ops;
	netif_carrier_off(net);
	if (pci_enable_device(dev))
		dev_warn(&dev->dev, "cannot be enabled\n");
	pci_set_master(dev);
	error = register_netdev(net);
	if (error) {
		free_netdev(net);
		return error;
	}
	pci_set_drvdata(dev, net);
	return 0;
}

static void net_remove(struct pci_dev *dev)
{
	struct net_device *net = pci_get_drvdata(dev);

	pci_disable_sriov(dev);
	unregister_netdev(net);
	free_netdev(net);
	if (pci_is_enabled(dev))
		pci_disable_device(dev);
}

static int net_sriov(struct pci_dev *dev, int number)
{
	int error;

	if (!number) {
		pci_disable_sriov(dev);
		return 0;
	}
	error = pci_enable_sriov(dev, number);
	return error ? error : number;
}

/* PF and VF of ConnectX-4, 4 Lx, 5, 5 Ex, 6, 6 Dx, VF of 6 Dx and later, 6 Lx, 7, BlueField-2 (mlx5_core_pci_table). */
static const struct pci_device_id net_ids[] = {
	{ PCI_DEVICE(0x15b3, 0x1013) }, { PCI_DEVICE(0x15b3, 0x1014) },
	{ PCI_DEVICE(0x15b3, 0x1015) }, { PCI_DEVICE(0x15b3, 0x1016) },
	{ PCI_DEVICE(0x15b3, 0x1017) }, { PCI_DEVICE(0x15b3, 0x1018) },
	{ PCI_DEVICE(0x15b3, 0x1019) }, { PCI_DEVICE(0x15b3, 0x101a) },
	{ PCI_DEVICE(0x15b3, 0x101b) }, { PCI_DEVICE(0x15b3, 0x101c) },
	{ PCI_DEVICE(0x15b3, 0x101d) }, { PCI_DEVICE(0x15b3, 0x101e) },
	{ PCI_DEVICE(0x15b3, 0x101f) }, { PCI_DEVICE(0x15b3, 0x1021) },
	{ PCI_DEVICE(0x15b3, 0xa2d6) },
	{ }
};

static struct pci_driver net_driver = {
	.name = "mlx5_core",
	.id_table = net_ids,
	.probe = net_probe,
	.remove = net_remove,
	.sriov_configure = net_sriov,
};

int rig_net_register(void)
{
	return pci_register_driver(&net_driver);
}

void rig_net_unregister(void)
{
	pci_unregister_driver(&net_driver);
}
